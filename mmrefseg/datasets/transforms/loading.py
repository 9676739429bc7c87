"""The first steps of a pipeline: image, expression, annotations."""

from functools import partial

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask import BitmapMasks
from mmengine.fileio import get as read_file

from mmrefseg.structures.boxes import clip_boxes, xywh_to_xyxy
from mmrefseg.structures.masks import OVERLAPS, mask_problem, to_bitmap, to_rle
from mmrefseg.structures.polygons import points_problem
from mmrefseg.utils import UserInputError

from ..fields import rng_of, where_of
from ..images import decode_image
from ..validation import box_problem


@TRANSFORMS.register_module()
class LoadCheckedImage(LoadImageFromFile):
    """mmcv's LoadImageFromFile, which says in one sentence what is wrong with an image that cannot be used.

    A decoder fills what a truncated file lacks with grey and goes on, and takes whatever memory a header
    claims; here both are errors, and nothing is decoded.

    Required Keys:

    - img_path

    Added Keys:

    - img, img_shape, ori_shape

    Args:
        Those of mmcv's LoadImageFromFile: to_float32, color_type, imdecode_backend, ignore_empty,
        backend_args.
    """

    @classmethod
    def like(cls, loader: LoadImageFromFile) -> 'LoadCheckedImage':
        """One that loads as mmcv's own does."""
        names = ('to_float32', 'color_type', 'imdecode_backend', 'ignore_empty')
        backend = loader.backend_args or loader.file_client_args
        return cls(**{name: getattr(loader, name) for name in names}, backend_args=backend)

    def transform(self, results: dict) -> dict | None:
        """Load the image; None with ``ignore_empty`` where it cannot be used.

        Raises:
            UserInputError: If the file is missing, truncated, no image, or has too many pixels.
        """
        where = where_of(results)
        decode = partial(mmcv.imfrombytes, flag=self.color_type, backend=self.imdecode_backend)
        try:
            img = decode_image(self._read(results['img_path'], where), where, decode)
        except UserInputError:
            if self.ignore_empty:
                return None
            raise
        results['img'] = img.astype(np.float32) if self.to_float32 else img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        return results

    def _read(self, path: str, where: str) -> bytes:
        try:
            return read_file(path, backend_args=self.backend_args)
        except (OSError, ValueError) as error:  # a ValueError: no file can have that name
            raise UserInputError.of(
                where,
                f'no readable file ({getattr(error, "strerror", None) or error})',
                'an image',
                "check the data set's data_prefix and img_template, or fetch the image",
            ) from error


@TRANSFORMS.register_module()
class LoadRefImage(LoadCheckedImage):
    """:class:`LoadCheckedImage` that compares the image with its record.

    Required Keys:

    - img_path
    - height, width (optional; checked)

    Added Keys:

    - img, img_shape, ori_shape, scale_factor

    Args:
        Those of mmcv's LoadImageFromFile: to_float32, color_type, imdecode_backend, backend_args.
    """

    def transform(self, results: dict) -> dict | None:
        """Load the image.

        Raises:
            UserInputError: If the file is missing, truncated, no image, has too many pixels, or is of another
            size than the record says.
        """
        loaded = super().transform(results)
        if loaded is not None:
            self._check_size(loaded['img'], results, where_of(results))
            loaded['scale_factor'] = (1.0, 1.0)
        return loaded

    @staticmethod
    def _check_size(img: np.ndarray, results: dict, where: str) -> None:
        height, width = img.shape[:2]
        expected = results.get('height') or height, results.get('width') or width
        if expected != (height, width):
            raise UserInputError.of(
                where,
                f'an image of {width} x {height} pixels',
                f'{expected[1]} x {expected[0]} as its record says',
                'use the image that was annotated, neither resized nor turned (an EXIF orientation is '
                "applied), or mend the record's width and height",
            )


@TRANSFORMS.register_module()
class DrawExpression(BaseTransform):
    """Draw one of the expressions of each object.

    An object with a single expression (as in testing) uses no random number.

    Required Keys:

    - instances
    - rng (optional)

    Added Keys:

    - expressions
    - sent_ids, ref_ids (-1 where the record has none)
    """

    def transform(self, results: dict) -> dict:
        """Draw the expressions.

        Raises:
            UserInputError: If an object has no expression, or the drawn one is empty.
        """
        rng = rng_of(results)
        drawn = []
        for row, instance in enumerate(results['instances']):
            expressions = instance.get('expressions') or []
            index = rng.randrange(len(expressions)) if len(expressions) > 1 else 0
            expression = expressions[index] if expressions else None
            if not isinstance(expression, str) or not expression.strip():
                raise UserInputError.of(
                    where_of(results, row),
                    f'expression {expression!r}' if expressions else 'no expression',
                    'a sentence',
                    'mend or remove the record',
                )
            sent_ids = instance.get('sent_ids') or []
            drawn.append(
                (expression, sent_ids[index] if index < len(sent_ids) else -1, instance.get('ref_id', -1))
            )
        results['expressions'] = [expression for expression, _, _ in drawn]
        results['sent_ids'] = [sent_id for _, sent_id, _ in drawn]
        results['ref_ids'] = [ref_id for _, _, ref_id in drawn]
        return results


@TRANSFORMS.register_module()
class LoadRefAnnotations(BaseTransform):
    """Boxes and masks of the objects, in the frame of the original image (``docs/data.md``, "Fields of a
    sample").

    Put it behind RefResize to evaluate in that frame (mmdet's convention: what is loaded later is not
    resized).

    Required Keys:

    - instances
    - ori_shape

    Added Keys:

    - gt_bboxes (zeros for a record with no_target), gt_bboxes_labels
    - gt_masks (zeros where the mask is withheld), gt_has_mask, gt_multi_part, gt_points
    - gt_mask_scores (how good a pseudo mask seemed to what selected it; 1 for others)
    - gt_ignore (in the frame of the original image, whatever is done to the sample later)

    Args:
        with_bbox (bool): Load boxes. Defaults to True.
        with_mask (bool): Load masks. Defaults to True.
        overlap (str): What a pixel inside several polygons of an object is: ``'union'`` (part of the object)
            or ``'background'``, the convention of LAVT's and LAVT-pytorch's training and evaluation.
    """

    def __init__(self, with_bbox: bool = True, with_mask: bool = True, overlap: str = 'union') -> None:
        if overlap not in OVERLAPS:
            raise UserInputError.of(
                'LoadRefAnnotations', f'overlap={overlap!r}', f'one of {OVERLAPS}', 'mend the config'
            )
        self.with_bbox = with_bbox
        self.with_mask = with_mask
        self.overlap = overlap

    def transform(self, results: dict) -> dict:
        """Load the annotations.

        Raises:
            UserInputError: If a box, a mask or a pseudo mask's contour is wrong.
        """
        instances = results['instances']
        height, width = results['ori_shape'][:2]
        labels = [instance.get('category_id') or 0 for instance in instances]
        results['gt_bboxes_labels'] = np.array(labels, np.int64)
        if self.with_bbox:
            boxes = [
                np.zeros(4)
                if instance.get('no_target')
                else read_box(instance.get('bbox'), height, width, where_of(results, row))
                for row, instance in enumerate(instances)
            ]
            results['gt_bboxes'] = np.array(boxes, np.float64).reshape(-1, 4)
        if self.with_mask:
            self._load_masks(results, height, width)
        return results

    def _load_masks(self, results: dict, height: int, width: int) -> None:
        masks = [instance.get('mask') for instance in results['instances']]
        bitmaps = np.zeros((len(masks), height, width), np.uint8)
        for row, mask in enumerate(masks):
            if mask is not None:
                where = where_of(results, row)
                bitmaps[row] = to_bitmap(mask, height, width, where, mask_problem, self.overlap)
        results['gt_masks'] = BitmapMasks(bitmaps, height, width)
        results['gt_has_mask'] = np.array([mask is not None for mask in masks], bool)
        results['gt_points'] = [
            read_points(instance.get('mask_points'), where_of(results, row))
            for row, instance in enumerate(results['instances'])
        ]
        results['gt_ignore'] = [
            None
            if instance.get('ignore_mask') is None
            else to_rle(instance['ignore_mask'], height, width, f'{where_of(results, row)}, ignore_mask')
            for row, instance in enumerate(results['instances'])
        ]
        results['gt_mask_scores'] = np.array(
            [_mask_score(instance.get('mask_score')) for instance in results['instances']], np.float32
        )
        results['gt_multi_part'] = np.array(
            [isinstance(mask, list) and len(mask) > 1 for mask in masks], bool
        )

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(with_bbox={self.with_bbox}, with_mask={self.with_mask}, '
            f'overlap={self.overlap!r})'
        )


def _mask_score(score: object) -> float:
    """A record's ``mask_score``; 1 where it has none that is a number from 0 to 1."""
    known = isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 1
    return float(score) if known else 1.0


def read_box(bbox: list[float], height: int, width: int, where: str) -> np.ndarray:
    """A record's box as corners inside the image.

    Args:
        bbox (list[float]): x, y, width, height in pixels. It is not changed.
        height (int): Of the image, in pixels.
        width (int): Of the image, in pixels.
        where (str): File and id for error messages.

    Returns:
        np.ndarray: (4,) float64 x1, y1, x2, y2, clipped to [0, width - 1] and [0, height - 1] as SeqTR does.

    Raises:
        UserInputError: If it is not four finite numbers, has no area or lies outside of the image.
    """
    problem = box_problem(bbox, height, width)
    if problem:
        raise UserInputError.of(where, *problem)
    return clip_boxes(xywh_to_xyxy(bbox), height, width)


def read_points(points: list[float] | None, where: str) -> np.ndarray | None:
    """The contour that a pseudo mask was drawn from.

    Args:
        points (list[float] | None): x, y, x, y, ... in pixels of the original image.
        where (str): File and id for error messages.

    Returns:
        np.ndarray | None: (K, 2) float32, None without points.

    Raises:
        UserInputError: If they are not pairs of finite numbers.
    """
    if points is None:
        return None
    problem = points_problem(points)
    if problem:
        raise UserInputError.of(where, f'mask_{problem.found}', problem.expected, problem.todo)
    return np.asarray(points, np.float32).reshape(-1, 2)
