"""Referring segmentation data in the working format: RefCOCO/+/g, ReferIt, Flickr30k, mixed, RefShapes."""

from .. import compat  # noqa: F401  isort: skip  (before anything imports mmdet)
import random
from collections.abc import Callable, Sequence
from typing import Any

from mmdet.registry import DATASETS
from mmengine.dataset import BaseDataset
from mmengine.fileio import join_path
from mmengine.utils import is_abs

from ..utils import UserInputError
from .annotations import load_split, paused_gc
from .images import ImagePaths
from .predicted_pairs import NothingLeft, read_predicted_pairs
from .samples import GROUP_BY, ImageExclusion, Pair, group_pairs
from .shared_memory import RecordStore, SharedEpoch


@DATASETS.register_module()
class RefSegDataset(BaseDataset):
    """Images with (object, expression) pairs.

    One sample is one image with its pairs. What the pipeline gets (``results``) is in ``docs/data.md``,
    "Fields of a sample". In training ``expressions`` and ``sent_ids`` of an instance are all of the object's,
    to draw from (one each with ``group_by='expression'``); in test mode one each.

    The epoch comes from :meth:`set_epoch`, which :class:`mmrefseg.engine.DatasetEpochHook` calls; it also
    reaches workers that are already running.

    Args:
        ann_file: Annotation file of the working format (``docs/data.md``).
        split: Which of its splits, for instance ``'train'``, ``'val'``, ``'testA'``.
        data_prefix: ``dict(img_path=folder)``, or for a mixed set ``dict(img_path={data_source: folder})``.
        data_root: Folder that relative paths of ``ann_file`` and ``data_prefix`` start from.
        img_template: Format string of the image_id for records without ``file_name``, or one per
            ``data_source``; ``None`` is ``'COCO_train2014_{:012d}.jpg'``, and ``'{}.jpg'`` for sources
            that are not COCO.
        group_by: ``'object'`` (all pairs of an object in one sample: one in training, its every expression
            in test mode), ``'expression'`` (one pair a sample) or ``'image'`` (all pairs of an image). By
            default ``'object'`` in training and ``'expression'`` in test mode.
        max_pairs: The most pairs in one sample.
        seed: Seed of ``rng``.
        require_masks: Keep only objects that have a mask (training on a partially masked file).
        exclude_images_of: Annotation files whose test images must not appear here
            (:class:`~mmrefseg.datasets.samples.ImageExclusion`).
        skip_predicted: Paths or glob patterns of JSON-lines prediction shards; their pairs are left out
            (test mode).
        metainfo, indices, serialize_data, pipeline, test_mode, lazy_init, max_refetch: As in mmengine.

    Raises:
        UserInputError: If the file, a record in it or an argument is wrong, or nothing is left.
    """

    METAINFO = {'dataset_type': 'referring', 'classes': ('referent',), 'palette': [(220, 20, 60)]}

    def __init__(
        self,
        ann_file: str,
        split: str = 'train',
        data_prefix: dict | None = None,
        data_root: str = '',
        img_template: str | dict[str, str] | None = None,
        group_by: str | None = None,
        max_pairs: int | None = None,
        seed: int = 0,
        require_masks: bool = False,
        exclude_images_of: Sequence[str | dict] = (),
        skip_predicted: str | Sequence[str] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        test_mode: bool = False,
        **kwargs,
    ) -> None:
        group_by = group_by or ('expression' if test_mode else 'object')
        _check_arguments(group_by, max_pairs, skip_predicted, test_mode)
        self.split = split
        self.img_template = img_template
        self.group_by = group_by
        self.max_pairs = max_pairs
        self.seed = seed
        self.require_masks = require_masks
        self.exclude_images_of = exclude_images_of
        self.skip_predicted = skip_predicted
        self._epoch = SharedEpoch()
        super().__init__(
            ann_file=ann_file,
            data_root=data_root,
            data_prefix=dict(data_prefix or {}),
            pipeline=list(pipeline),
            test_mode=test_mode,
            **kwargs,
        )

    @property
    def epoch(self) -> int:
        """The epoch that expressions and other random choices are drawn for."""
        return self._epoch.get()

    def set_epoch(self, epoch: int) -> None:
        """Choose other random numbers for the next pass; also in workers that are running."""
        self._epoch.set(epoch)

    def load_data_list(self) -> list[dict]:
        """Read the split and lay out the samples: ``{'pairs': [(record, expression or None), ...]}``."""
        with paused_gc():
            return self._lay_out(self._drop_predicted(self._select(load_split(self.ann_file, self.split))))

    def _lay_out(self, records: list[dict]) -> list[dict]:
        path_of = ImagePaths(self.data_prefix['img_path'], self.img_template)
        for record in records:
            record['img_path'] = path_of(record, f'{self.ann_file} [{self.split}]')
        self._records = RecordStore(records)
        counts = [len(record['expressions']) for record in records]
        images = [record['img_path'] for record in records]
        samples = group_pairs(images, counts, self.group_by, self.test_mode, self.max_pairs)
        return [{'pairs': pairs} for pairs in samples]

    def get_data_info(self, idx: int) -> dict:
        """The ``results`` of one sample, before the pipeline."""
        sample = super().get_data_info(idx)
        index = sample['sample_idx']
        instances = [self._instance(pair) for pair in sample['pairs']]
        first = instances[0]
        return {
            'img_path': first['img_path'],
            'img_id': first['image_id'],
            'height': int(first['height']),
            'width': int(first['width']),
            'split': self.split,
            'instances': instances,
            'rng': random.Random(f'{self.seed}/{self.epoch}/{index}'),
            'sample_idx': index,
        }

    def get_cat_ids(self, idx: int) -> list[int]:
        """Categories of the objects of a sample (for mmengine's ``ClassBalancedDataset``)."""
        return [instance['category_id'] for instance in self.get_data_info(idx)['instances']]

    def _select(self, records: list[dict]) -> list[dict]:
        """Records that can be trained on or tested, by the arguments."""
        where = f'{self.ann_file} [{self.split}]'
        kept = [record for record in records if not record.get('no_target')]
        if not kept:
            raise UserInputError.of(where, 'only expressions without target', 'objects', 'use another split')
        if self.require_masks:
            kept = [record for record in kept if record.get('mask') is not None]
            if not kept:
                raise UserInputError.of(
                    where, 'no object with a mask', 'some, as require_masks=True', 'use a file with masks'
                )
        if self.exclude_images_of:
            excluded = ImageExclusion(self._with_root(source) for source in self.exclude_images_of)
            kept = [record for record in kept if record not in excluded]
            if not kept:
                raise UserInputError.of(
                    where,
                    'only images that exclude_images_of names',
                    'some others',
                    'mend exclude_images_of',
                )
        return kept

    def _drop_predicted(self, records: list[dict]) -> list[dict]:
        if self.skip_predicted is None:
            return records
        done = read_predicted_pairs(self.skip_predicted)
        left = []
        for record in records:
            sentences = zip(record['sent_ids'], record['expressions'], strict=True)
            pairs = [pair for pair in sentences if (record['ref_id'], pair[0]) not in done]
            if pairs:
                sent_ids, expressions = map(list, zip(*pairs, strict=True))
                left.append({**record, 'sent_ids': sent_ids, 'expressions': expressions})
        if not left:
            raise NothingLeft.of(
                f'{self.ann_file} [{self.split}]',
                'every expression already predicted',
                'some that are not in skip_predicted',
                'go on to the next stage, or remove the shards to predict again',
            )
        return left

    def _instance(self, pair: Pair) -> dict:
        position, expression = pair
        record = self._records[position]
        if expression is not None:
            record['expressions'] = [record['expressions'][expression]]
            record['sent_ids'] = [record['sent_ids'][expression]]
        return record

    def _with_root(self, source: str | dict) -> dict:
        source = {'ann_file': source} if isinstance(source, str) else dict(source)
        if self.data_root and not is_abs(source['ann_file']):
            source['ann_file'] = join_path(self.data_root, source['ann_file'])
        return source

    def _join_prefix(self) -> None:
        """As in mmengine, with a folder per ``data_source`` allowed."""
        folders: Any = self.data_prefix.get('img_path', '')
        nested = isinstance(folders, dict)
        self.data_prefix = dict(folders) if nested else {'img_path': folders}
        super()._join_prefix()
        if nested:
            self.data_prefix = {'img_path': self.data_prefix}


def _check_arguments(group_by: str, max_pairs: int | None, skip_predicted: Any, test_mode: bool) -> None:
    where = 'RefSegDataset'
    if group_by not in GROUP_BY:
        raise UserInputError.of(where, f'group_by={group_by!r}', f'one of {GROUP_BY}', 'mend the config')
    if max_pairs is not None and max_pairs < 1:
        raise UserInputError.of(where, f'max_pairs={max_pairs}', 'at least 1, or None', 'mend the config')
    if skip_predicted is not None and not test_mode:
        raise UserInputError.of(
            where,
            'skip_predicted in training',
            'test_mode=True with it',
            'use it with the prediction stage only',
        )
