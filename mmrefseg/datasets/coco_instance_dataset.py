"""Instances from a COCO file, of which a part can be held out for validation."""

from .. import compat  # noqa: F401  isort: skip  (before anything imports mmdet)
import contextlib
import io
import random
from pathlib import Path

import cv2
from mmdet.datasets import CocoDataset
from mmdet.datasets.api_wrappers import COCO
from mmdet.registry import DATASETS

from ..utils import UserInputError, load_json

PARTS = ('all', 'train', 'val')
NO_MASK = [[0.0] * 6]
"""A polygon that covers nothing: mmdet's loaders leave an object out, or fail, that has no polygon at all."""


class NamedCOCO(COCO):
    """mmdet's COCO: categories in the order of the names asked for, not of the file; nothing is printed.

    Raises:
        UserInputError: If the file is missing or not a COCO file.
    """

    def __init__(self, annotation_file: str) -> None:
        super().__init__()
        content = load_json(annotation_file)
        for key in ('images', 'categories'):
            if not isinstance(content, dict) or key not in content:
                raise UserInputError.of(annotation_file, f'no {key!r}', 'a COCO file', 'check the path')
        self.annotation_file = annotation_file
        self.dataset = content
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
            raise UserInputError.of(
                self.annotation_file,
                f'no category {missing[0]!r}',
                f'all {len(cat_names)} classes of the dataset',
                "set the dataset's metainfo=dict(classes=...) to the names of the file",
            )
        return [by_name[name] for name in cat_names] or ids


@DATASETS.register_module()
class CocoInstanceDataset(CocoDataset):
    """mmdet's CocoDataset, with a held-out part, classes found by name, and errors in one sentence.

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
        UserInputError: For a missing file, class or image, or settings that leave no image.
    """

    COCOAPI = NamedCOCO

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
        self.part = part
        self.held_out = held_out
        self.held_out_seed = held_out_seed
        self.require_masks = require_masks
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict]:
        """The images of the part, with their instances."""
        samples = super().load_data_list()
        chosen = self._chosen({sample['img_id'] for sample in samples})
        samples = [sample for sample in samples if sample['img_id'] in chosen]
        if samples:
            self._check_folder(samples[0]['img_path'])
        return self._with_masks(samples) if self.require_masks else samples

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """One image with its instances, as mmdet; those without a mask are marked."""
        sample = super().parse_data_info(raw_data_info)
        for instance in sample['instances']:
            if 'mask' not in instance:
                instance.update(has_mask=False, mask=NO_MASK)
        return sample

    def filter_data(self) -> list[dict]:
        """As mmdet; an empty dataset is an error."""
        samples = super().filter_data()
        if not samples:
            objects = 'objects with a mask' if self.require_masks else 'instances of the classes'
            what = 'images' if self.test_mode else f'images with {objects}'
            raise UserInputError.of(
                self.ann_file, f'no {what} in part {self.part!r}', 'some', 'change held_out or the file'
            )
        return samples

    def prepare_data(self, idx: int):
        """One sample; an image that cannot be read is named."""
        try:
            return super().prepare_data(idx)
        except (FileNotFoundError, AssertionError, cv2.error) as error:
            path = Path(self.get_data_info(idx)['img_path'])
            if path.is_file() and cv2.imread(str(path)) is not None:
                raise  # not about the image
            found = 'a file that is not an image' if path.is_file() else 'no such file'
            raise UserInputError.of(str(path), found, 'an image', 'copy it again') from error

    def _chosen(self, image_ids: set[int]) -> set[int]:
        """Ids of the part."""
        if self.part == 'all' or self.held_out == 0:
            return image_ids
        ids = sorted(image_ids)
        held_out = set(random.Random(self.held_out_seed).sample(ids, round(self.held_out * len(ids))))
        return held_out if self.part == 'val' else image_ids - held_out

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
            raise UserInputError.of(
                first, found, f'the images of {self.ann_file}', 'check data_prefix, and data/README.md'
            )
