"""Instance segmentation and detection, scored as COCO is, and written as a submission."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmdet.registry import METRICS
from mmdet.structures.mask import encode_mask_results
from mmengine.fileio import get_local_path
from mmengine.logging import MMLogger

from ...datasets.coco import CheckedCoco, check_coco
from ...datasets.coco.tables import check_layout
from ...utils import UserInputError, load_json
from ...utils.errors import did_you_mean
from ..functional.instances import IOU_TYPES, average_precision
from ..submission import check_keys, result_records, write_results
from .ref_samples import UncutMetric


@METRICS.register_module()
class InstanceMetric(UncutMetric):
    """AP, AP50, AP75, APs, APm, APl of boxes and masks, in [0, 1], under mmdet's keys.

    Keys: ``coco/bbox_mAP coco/bbox_mAP_50 coco/bbox_mAP_75 coco/bbox_mAP_s coco/bbox_mAP_m coco/bbox_mAP_l``
    and the same with ``segm``; with ``classwise`` also ``coco/segm_<name of the class>_mAP``. It takes the
    place of mmdet's CocoMetric and differs in six ways: numbers are not rounded; every image counts once,
    whatever a sampler pads; only images that were tested count, so that the dataset may be a part of the
    annotation file; ids of categories are found by name; files are sorted, free of repetitions and atomic;
    the annotation file is checked, mended and counted as :class:`CocoInstanceDataset` does it.

    Args:
        ann_file: COCO annotation file. With ``format_only`` it needs no annotations.
        metric: ``'bbox'``, ``'segm'`` or both. Both result files are written in any case.
        classwise: AP of each class too.
        format_only: Write the result files and compute nothing.
        outfile_prefix: ``<outfile_prefix>.bbox.json`` and ``.segm.json`` are written. ``format_only`` needs
            it; without ``format_only``, giving it writes the files besides computing.
        submission_keys: Keys of each line of the ``.segm.json`` (text with commas or a list); default: all
            five, as mmdet writes them.
        backend: ``'pycocotools'`` or ``'faster-coco-eval'``: the same numbers to the last digit.
        backend_args: mmengine's, to read ``ann_file``.
        **kwargs: ``collect_device``, ``collect_dir``, ``prefix`` of mmengine's BaseMetric.

    Raises:
        UserInputError: For arguments that do not fit, or an annotation file without what is needed, or of
            which no object can be used.
    """

    default_prefix = 'coco'

    def __init__(
        self,
        ann_file: str,
        metric: str | Sequence[str] = IOU_TYPES,
        classwise: bool = False,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        submission_keys: str | Sequence[str] | None = None,
        backend: str = 'pycocotools',
        backend_args: dict | None = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        self.metrics = [metric] if isinstance(metric, str) else list(metric)
        wrong = [name for name in self.metrics if name not in IOU_TYPES]
        if wrong:
            raise UserInputError.of(
                'InstanceMetric', f'metric={wrong[0]!r}', ' or '.join(IOU_TYPES), 'correct the config'
            )
        if format_only and outfile_prefix is None:
            raise UserInputError.of(
                'InstanceMetric',
                'format_only without outfile_prefix',
                'a place for the result files',
                'set outfile_prefix (test.py: --options jsonfile_prefix=PATH)',
            )
        if isinstance(submission_keys, str):
            submission_keys = [key.strip() for key in submission_keys.split(',')]
        self.submission_keys = None if submission_keys is None else check_keys(submission_keys)
        self.classwise = classwise
        self.format_only = format_only
        self.outfile_prefix = outfile_prefix
        self.backend = backend
        self.ann_file = ann_file
        with get_local_path(ann_file, backend_args=backend_args) as path:
            self._content = load_json(path)
        todo = 'use --format-only, or a file with ground truth'
        check_layout(self._content, ann_file, None if format_only else todo)
        self._sizes: dict[int | str, tuple[int, int]] = {}
        self.truth = self._checked_truth().content

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the predictions of one batch, one item per image, masks as run lengths."""
        for sample in data_samples:
            found = sample['pred_instances']
            masks = found.get('masks')
            size = sample.get('ori_shape')
            if masks is not None:
                masks = encode_mask_results(masks.detach().cpu().numpy())
            scores = found['scores'].cpu().numpy()
            item = dict(
                image_id=sample['img_id'],
                size=None if size is None else tuple(map(int, size[:2])),
                boxes=found['bboxes'].cpu().numpy(),
                scores=scores,
                labels=found['labels'].cpu().numpy(),
                masks=masks,
                # Some heads judge the mask apart from the class.
                mask_scores=found['mask_scores'].cpu().numpy() if 'mask_scores' in found else scores,
            )
            self.results.append(item)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Collected items -> the columns; writes the result files if they are wanted."""
        images = {item['image_id']: item for item in results}  # a sampler's padding repeats images
        items = [images[id_] for id_ in sorted(images, key=lambda id_: (isinstance(id_, str), id_))]
        ids = self.category_ids()
        lines = {'bbox': self._records(items, ids, masks=False)}
        if items and all(item['masks'] is not None for item in items):
            lines['segm'] = self._records(items, ids, masks=True)
        if self.outfile_prefix is not None:
            self._write(lines)
        if not self.format_only:
            self._take_sizes(items)
        metrics: dict[str, float] = {}
        for kind in () if self.format_only else self.metrics:
            if kind not in lines:
                raise UserInputError.of(
                    'InstanceMetric', 'no predicted masks', 'a model that predicts masks', "set metric='bbox'"
                )
            scores = average_precision(self.truth, lines[kind], kind, images, ids, self.backend)
            metrics.update({f'{kind}_{name}': value for name, value in scores.columns.items()})
            if self.classwise:
                names = zip(self.dataset_meta['classes'], ids, strict=True)
                metrics.update({f'{kind}_{name}_mAP': scores.per_category[id_] for name, id_ in names})
        return metrics

    def category_ids(self) -> list[int]:
        """Ids of the dataset's classes in the annotation file, found by name.

        Raises:
            UserInputError: If the file lacks a class.
        """
        by_name = {category['name']: category['id'] for category in self.truth['categories']}
        missing = [name for name in self.dataset_meta['classes'] if name not in by_name]
        if missing:
            raise UserInputError.of(
                self.ann_file,
                f'no category {missing[0]!r}{did_you_mean(missing[0], by_name)}',
                'the classes of the dataset',
                "set the dataset's metainfo=dict(classes=...) to the names of the file",
            )
        return [by_name[name] for name in self.dataset_meta['classes']]

    def _checked_truth(self) -> CheckedCoco:
        """The annotation file, mended; what is unusable is said, and an error if it is everything."""
        checked = check_coco(self._content, self.ann_file, sizes=self._sizes)
        if self.format_only or (checked.unsized and not self._sizes):
            return checked  # nothing is scored; or the sizes come with the predictions
        logger = MMLogger.get_current_instance()
        for sentence in checked.sentences():
            logger.warning(sentence)
        if checked.num_objects and checked.num_crowds == len(checked.annotations):
            sentence = f'nothing to score: {checked.unusable_sentence()}'
            if not checked.annotations:
                raise UserInputError.of(
                    self.ann_file, sentence, 'objects with a box', 'look at the report of verify_coco.py'
                )
            logger.warning(f'{self.ann_file}: {sentence}; AP is -1')
        if (
            'segm' in self.metrics
            and checked.annotations
            and checked.without_mask.total == len(checked.annotations)
        ):
            raise UserInputError.of(
                self.ann_file, 'no object with a mask', 'masks to score', "set the metric's metric='bbox'"
            )
        return checked

    def _take_sizes(self, items: list[dict]) -> None:
        """Draw the ground truth at the sizes that images were tested at, where the file says otherwise."""
        tested = {}
        for item in items:
            size = tuple(item['masks'][0]['size']) if item['masks'] else item.get('size')
            if size is not None:
                tested[item['image_id']] = size
        known = {image['id']: (image['height'], image['width']) for image in self.truth['images']}
        if any(known.get(id_) != size for id_, size in tested.items()):
            self._sizes = tested
            self.truth = self._checked_truth().content

    def _records(self, items: list[dict], category_ids: list[int], masks: bool) -> list[dict]:
        beyond = max((int(label) for item in items for label in item['labels']), default=0)
        if beyond >= len(category_ids):
            raise UserInputError.of(
                'InstanceMetric',
                f'a prediction of class {beyond}',
                f'the {len(category_ids)} classes of the dataset, from 0',
                "set the model's num_classes and the dataset's metainfo=dict(classes=...) to one another",
            )
        return [
            record
            for item in items
            for record in result_records(
                item['image_id'],
                item['boxes'],
                item['mask_scores' if masks else 'scores'],
                [category_ids[label] for label in item['labels']],
                item['masks'] if masks else None,
            )
        ]

    def _write(self, lines: dict[str, list[dict]]) -> None:
        for kind, records in lines.items():
            path = Path(f'{self.outfile_prefix}.{kind}.json')
            count = write_results(records, path, self.submission_keys if kind == 'segm' else None)
            MMLogger.get_current_instance().info(f'{count} instances written to {path}')
