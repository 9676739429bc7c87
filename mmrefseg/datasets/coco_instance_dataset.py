"""Instances from a COCO file, of which a part can be held out for validation."""

from .. import compat  # noqa: F401  isort: skip  (before anything imports mmdet)
import contextlib
import io
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmcv.transforms import LoadImageFromFile
from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmdet.registry import DATASETS
from mmengine.logging import MMLogger

from ..utils import UserInputError
from ..utils.errors import did_you_mean
from .coco import CheckedCoco, read_coco
from .coco.findings import listed
from .transforms.loading import LoadCheckedImage
from .transforms.orientation import MatchRecordedSize

PARTS = ('all', 'train', 'val')
NO_MASK = [[0.0] * 6]
"""A polygon that covers nothing: mmdet's loaders leave an object out, or fail, that has no polygon at all."""


class NamedCOCO(COCO):
    """mmdet's COCO: categories in the order of the names asked for, not of the file; nothing is printed.

    Args:
        checked: The file, as :func:`mmrefseg.datasets.coco.check_coco` leaves it.
    """

    def __init__(self, checked: CheckedCoco) -> None:
        super().__init__()
        self.annotation_file = checked.where
        self.dataset = checked.content
        with contextlib.redirect_stdout(io.StringIO()):
            self.createIndex()
        self.img_ann_map = self.imgToAnns
        self.cat_img_map = self.catToImgs

    def get_cat_ids(self, cat_names=(), sup_names=(), cat_ids=()) -> list[int]:
        """Ids of categories, in the order of ``cat_names`` if these are given.

        Raises:
            UserInputError: If the file lacks one of the names.
        """
        ids = super().get_cat_ids(cat_names, sup_names, cat_ids)
        by_name = {self.cats[id_]['name']: id_ for id_ in ids}
        missing = [name for name in cat_names if name not in by_name]
        if missing:
            known = [category['name'] for category in self.cats.values()]
            raise UserInputError.of(
                self.annotation_file,
                f'no category {missing[0]!r}{did_you_mean(missing[0], known)}',
                f'all {len(cat_names)} classes of the dataset',
                "set the dataset's metainfo=dict(classes=...) to the names of the file",
            )
        return [by_name[name] for name in cat_names] or ids


def _check_classes(metainfo: Any) -> None:
    """``classes=('bolt')`` is a text, its letters would be the classes; mmengine also takes a file's name."""
    classes = metainfo.get('classes') if isinstance(metainfo, Mapping) else None
    if isinstance(classes, str) and not Path(classes).is_file():
        raise UserInputError.of(
            'CocoInstanceDataset',
            f'classes={classes!r}',
            f'a list of names, or a file of them; is [{classes!r}] meant?',
            'correct metainfo in the config',
        )


@DATASETS.register_module()
class CocoInstanceDataset(CocoDataset):
    """mmdet's CocoDataset, with a held-out part, classes found by name, and errors in one sentence.

    The file is checked when it is opened (:mod:`mmrefseg.datasets.coco`): what is certain is mended, and what
    is unusable is counted, by reason, in the log. Images are loaded in the orientation that was annotated;
    one that is truncated or claims too many pixels is an error (:class:`LoadCheckedImage`). Images that are
    missing or no images are left out of training; in ``test_mode`` they are an error.

    The images to hold out are drawn from the sorted ids of all images and ``held_out_seed``: they do not
    depend on the order of the file, on the process or on filtering, and no image is in both parts.

    An object without ``segmentation`` keeps its box and class. Its instance has ``has_mask=False`` and a
    ``mask`` that covers nothing, which PartialMaskHead does not learn from.

    Args:
        part: ``'all'``; ``'train'``, all but the held-out images; ``'val'``, the held-out images.
        held_out: The share of images to hold out, in [0, 1). With 0 both parts are all images.
        held_out_seed: Another seed holds other images out.
        require_masks: Keep only objects that have a mask, and images with such an object.
        **kwargs: Of mmdet's CocoDataset. ``metainfo=dict(classes=...)`` names the categories.

    Raises:
        UserInputError: For a missing file, class or image folder, or where nothing is left to learn from.
    """

    def __init__(
        self,
        *args,
        part: str = 'all',
        held_out: float = 0.1,
        held_out_seed: int = 0,
        require_masks: bool = False,
        **kwargs,
    ) -> None:
        if part not in PARTS or not 0 <= held_out < 1:
            raise UserInputError.of(
                'CocoInstanceDataset',
                f'part={part!r}, held_out={held_out}',
                f'part {" or ".join(PARTS)} and a share from 0 to below 1',
                'correct the config',
            )
        _check_classes(kwargs.get('metainfo'))
        self.part = part
        self.held_out = held_out
        self.held_out_seed = held_out_seed
        self.require_masks = require_masks
        super().__init__(*args, **kwargs)
        steps = self.pipeline.transforms
        loads = [place for place, step in enumerate(steps) if isinstance(step, LoadImageFromFile)]
        for place in loads:
            if type(steps[place]) is LoadImageFromFile:
                steps[place] = LoadCheckedImage.like(steps[place])
        if loads:
            steps.insert(loads[0] + 1, MatchRecordedSize())

    def COCOAPI(self, path: str) -> NamedCOCO:
        """By what mmdet opens the file: it is checked, together with the images if they are files."""
        folder = self.data_prefix.get('img') or None
        if folder is not None and ('://' in folder or self.backend_args):
            folder = None
        there = folder is not None and Path(folder).is_dir()
        checked = read_coco(path, folder if there else None, self.ann_file, keep_images=self.test_mode)
        if folder is not None and not there:
            raise self._no_images(folder, f'no folder {folder}')
        if not self.test_mode:
            checked.count_untrained()
        logger = MMLogger.get_current_instance()
        for sentence in checked.sentences():
            logger.warning(sentence)
        if checked.images_left_out and (self.test_mode or not checked.content['images']):
            found = f'{checked.images_left_out.total} images left out: {checked.images_left_out}'
            raise self._no_images(self.ann_file, found)
        self._checked = checked
        return NamedCOCO(checked)

    def load_data_list(self) -> list[dict]:
        """The images of the part, with their instances."""
        samples = super().load_data_list()
        chosen = self._chosen({sample['img_id'] for sample in samples})
        samples = [sample for sample in samples if sample['img_id'] in chosen]
        if samples:
            self._check_folder(samples[0]['img_path'])
        checked, self._checked = self._checked, None
        if not self.test_mode:
            self._say_other_classes(checked)
        if not self.test_mode and self.part != 'val':
            self._check_instances(samples, checked)
        self._load_run_lengths(samples)
        return self._with_masks(samples) if self.require_masks else samples

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """One image with its instances, as mmdet; those without a mask are marked."""
        sample = super().parse_data_info(raw_data_info)
        for instance in sample['instances']:
            if 'mask' not in instance:
                instance.update(has_mask=False, mask=NO_MASK)
        return sample

    def filter_data(self) -> list[dict]:
        """As mmdet; what is left out for its size is said, and an empty dataset is an error."""
        samples = super().filter_data()
        least = 0 if self.test_mode else (self.filter_cfg or {}).get('min_size', 0)
        small = [info for info in self.data_list if min(info['height'], info['width']) < least]
        if any(info['instances'] for info in small):
            count = sum(len(info['instances']) for info in small)
            MMLogger.get_current_instance().warning(
                f'{self.ann_file}: {count} objects left out with {len(small)} images smaller than '
                f'filter_cfg.min_size={least}'
            )
        if not samples:
            objects = 'objects with a mask' if self.require_masks else 'instances of the classes'
            what = 'images' if self.test_mode else f'images with {objects}'
            raise UserInputError.of(
                self.ann_file, f'no {what} in part {self.part!r}', 'some', 'change held_out or the file'
            )
        return samples

    def _chosen(self, image_ids: set[int | str]) -> set[int | str]:
        """Ids of the part."""
        if self.part == 'all' or self.held_out == 0:
            return image_ids
        ids = sorted(image_ids, key=lambda id_: (isinstance(id_, str), id_))
        held_out = set(random.Random(self.held_out_seed).sample(ids, round(self.held_out * len(ids))))
        return held_out if self.part == 'val' else image_ids - held_out

    def _say_other_classes(self, checked: CheckedCoco) -> None:
        """A class that was forgotten, or that the file spells in two ways, is not lost in silence."""
        counts = Counter(annotation['category_id'] for annotation in checked.annotations)
        others = {checked.name_of(id_): count for id_, count in counts.items() if id_ not in self.cat_ids}
        if others:
            MMLogger.get_current_instance().warning(
                f'{self.ann_file}: {sum(others.values())} of {checked.num_objects} objects left out: '
                f'of classes that are not asked for ({listed(others)})'
            )

    def _check_instances(self, samples: list[dict], checked: CheckedCoco) -> None:
        """Training without anything to learn from would run, and learn nothing."""
        if any(not instance['ignore_flag'] for sample in samples for instance in sample['instances']):
            return
        others = sum(annotation['category_id'] not in self.cat_ids for annotation in checked.annotations)
        reason = checked.unusable_sentence(others) if checked.num_objects else 'no annotations'
        raise UserInputError.of(
            self.ann_file,
            f'nothing to learn from in part {self.part!r}: {reason}',
            'objects of the classes with a box',
            'look at the report of tools/dataset_converters/verify_coco.py',
        )

    def _load_run_lengths(self, samples: list[dict]) -> None:
        """mmdet's loader with ``poly2mask=False`` ignores every object whose mask is no polygon."""
        loaders = [step for step in self.pipeline.transforms if getattr(step, 'poly2mask', True) is False]
        count = sum(
            isinstance(instance.get('mask'), dict) and not instance['ignore_flag']
            for sample in samples
            if loaders
            for instance in sample['instances']
        )
        if count:
            for step in loaders:
                step.poly2mask = True
            MMLogger.get_current_instance().info(
                f'{self.ann_file}: {count} masks are run lengths; loaded as bitmaps (poly2mask=True)'
            )

    @staticmethod
    def _with_masks(samples: list[dict]) -> list[dict]:
        """Only objects that have a mask, and images with such an object."""
        for sample in samples:
            sample['instances'] = [each for each in sample['instances'] if each.get('has_mask', True)]
        return [sample for sample in samples if sample['instances']]

    def _check_folder(self, first: str) -> None:
        """A wrong folder shows at its first image, before anything is computed."""
        path = Path(first)
        if '://' not in first and not path.is_file():
            found = 'no such file' if path.parent.is_dir() else f'no folder {path.parent}'
            raise self._no_images(first, found)

    def _no_images(self, where: str, found: str) -> UserInputError:
        return UserInputError.of(
            where, found, f'the images of {self.ann_file}', 'check data_prefix, and data/README.md'
        )
