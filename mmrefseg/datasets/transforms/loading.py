"""The first steps of a pipeline: image, expression, annotations."""

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmdet.registry import TRANSFORMS
from mmdet.structures.mask import BitmapMasks
from mmengine.fileio import get as read_file

from mmrefseg.structures.boxes import clip_boxes, xywh_to_xyxy
from mmrefseg.structures.masks import OVERLAPS, mask_problem, to_bitmap
from mmrefseg.utils import UserInputError

from ..fields import rng_of, where_of
from ..validation import box_problem


@TRANSFORMS.register_module()
class LoadRefImage(LoadImageFromFile):
    """Load an image, and say in one sentence what is wrong with it if it cannot be used.

    A decoder fills what a truncated file lacks with grey and goes on; here it is an error.

    Required Keys:

    - img_path
    - height, width (optional; checked)

    Added Keys:

    - img, img_shape, ori_shape, scale_factor

    Args:
        Those of mmcv's LoadImageFromFile: to_float32, color_type, imdecode_backend, backend_args.
    """

    def transform(self, results: dict) -> dict:
        """Load the image.

        Raises:
            UserInputError: If the file is missing, truncated, no image, or of another size than the record
            says.
        """
        where = where_of(results)
        content = self._read(results['img_path'], where)
        img = None
        if content and not is_truncated(content):
            img = mmcv.imfrombytes(content, flag=self.color_type, backend=self.imdecode_backend)
        if img is None:
            found = 'a truncated image' if is_truncated(content) else 'a file that cannot be decoded'
            raise UserInputError.of(
                where,
                f'{found if content else "an empty file"} ({len(content)} bytes)',
                'a complete image (JPEG, PNG, ...)',
                'fetch or export the file again, or remove its records',
            )
        self._check_size(img, results, where)
        results['img'] = img.astype(np.float32) if self.to_float32 else img
        results['img_shape'] = results['ori_shape'] = img.shape[:2]
        results['scale_factor'] = (1.0, 1.0)
        return results

    def _read(self, path: str, where: str) -> bytes:
        try:
            return read_file(path, backend_args=self.backend_args)
        except OSError as error:
            raise UserInputError.of(
                where,
                f'no readable file ({error.strerror or error})',
                'an image',
                "check the data set's data_prefix and img_template, or fetch the image",
            ) from error

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


def is_truncated(content: bytes) -> bool:
    """Whether a JPEG or PNG file lacks its end.

    A JPEG has an end marker behind its last start of scan (one before it belongs to a thumbnail), a PNG its
    IEND chunk; bytes behind it do no harm. Other formats are left to the decoder.
    """
    if content.startswith(b'\xff\xd8'):
        return content.rfind(b'\xff\xd9') < content.rfind(b'\xff\xda')
    if content.startswith(b'\x89PNG'):
        return not _has_end(content)
    return False


def _has_end(png: bytes) -> bool:
    """Whether a PNG's chunks (length, name, data, checksum) go on to IEND; what follows it is not read."""
    start = 8
    while start + 12 <= len(png):
        if png[start + 4 : start + 8] == b'IEND':
            return True
        start += 12 + int.from_bytes(png[start : start + 4], 'big')
    return False


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
        results['gt_multi_part'] = np.array(
            [isinstance(mask, list) and len(mask) > 1 for mask in masks], bool
        )

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(with_bbox={self.with_bbox}, with_mask={self.with_mask}, '
            f'overlap={self.overlap!r})'
        )


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
    try:
        pairs = np.asarray(points, np.float32).reshape(-1, 2)
    except (TypeError, ValueError):
        pairs = np.full((1, 2), np.nan)
    if not np.isfinite(pairs).all():
        raise UserInputError.of(
            where,
            f'mask_points {str(points)[:60]}',
            'finite numbers x, y, x, y, ...',
            'remove mask_points (the contour of the mask is used then), or select the pseudo masks again',
        )
    return pairs
