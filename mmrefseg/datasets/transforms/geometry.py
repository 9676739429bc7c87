"""Steps that resize, crop or mirror an image with its boxes, masks and sentences."""

import random
import re
from numbers import Integral
from typing import Any

import cv2
import mmcv
import numpy as np
from mmcv.image import imflip
from mmcv.transforms import BaseTransform, Resize
from mmdet.registry import TRANSFORMS

from ...utils import UserInputError
from ...utils.errors import short
from ..fields import flag_vanished_masks, keep_pairs, rng_of


@TRANSFORMS.register_module()
class RefResize(Resize):
    """Resize the image, and the boxes (in float64) and masks that are already loaded.

    Required Keys:

    - img
    - gt_bboxes, gt_masks, gt_has_mask (optional)

    Modified Keys:

    - img, img_shape, scale_factor ((w, h))
    - gt_bboxes, gt_masks, gt_points
    - gt_has_mask (False where no pixel of a mask is left)

    Args:
        scale (tuple[int, int]): (width, height) to fit into or, without keep_ratio, to resize to, in pixels.
            Defaults to (640, 640).
        keep_ratio (bool): Keep the aspect ratio. Defaults to True.
        kwargs: The other arguments of mmcv's Resize.
    """

    def __init__(self, scale: tuple[int, int] = (640, 640), keep_ratio: bool = True, **kwargs) -> None:
        sides = [scale] if isinstance(scale, Integral) else scale
        if not isinstance(sides, list | tuple) or not all(_is_side(side) for side in sides):
            raise UserInputError.of(
                'RefResize', f'scale={short(scale)}', '(width, height) in pixels', 'correct the config'
            )
        super().__init__(
            scale=scale if isinstance(scale, int) else tuple(sides), keep_ratio=keep_ratio, **kwargs
        )

    def transform(self, results: dict) -> dict:
        """Resize."""
        results = super().transform(results)
        if 'gt_masks' in results:
            masks = results['gt_masks']
            # BitmapMasks.rescale loses the image's size when there is no mask, resize does not.
            results['gt_masks'] = masks.resize(results['img_shape'][:2])
            flag_vanished_masks(results)
        if 'gt_points' in results:
            factor = np.array(results['scale_factor'], np.float32)
            results['gt_points'] = [
                None if points is None else points * factor for points in results['gt_points']
            ]
        return results

    def _resize_img(self, results: dict) -> None:
        keep_ratio = self.keep_ratio
        fitted = fitted_size(results['img'], results['scale'])
        if keep_ratio and 1 in fitted:
            # mmcv would make the shorter side of a strip, such as 20000 x 10, zero pixels long.
            results['scale'], self.keep_ratio = fitted, False
        try:
            super()._resize_img(results)
        finally:
            self.keep_ratio = results['keep_ratio'] = keep_ratio


def fitted_size(image: np.ndarray, scale: float | tuple[int, int]) -> tuple[int, int]:
    """(width, height) of an image resized by a factor, or into (width, height); at least one pixel each."""
    width, height = mmcv.rescale_size(image.shape[1::-1], scale)
    return max(1, width), max(1, height)


SWAPPED_WORDS = (('left', 'right'), ('leftmost', 'rightmost'))


@TRANSFORMS.register_module()
class RefFlip(BaseTransform):
    """Mirror an image left to right, and swap left and right in its sentences.

    TransVG's augmentation (Deng et al., ICCV 2021), between LoadRefAnnotations and EncodeContour. Without the
    swap, sentences that name sides become wrong. Words are whole words in any case; what a
    sentence reads in the image (text, clocks) stays wrong.

    Required Keys:

    - img, expressions
    - gt_bboxes, gt_masks, gt_points (optional)
    - rng (optional)

    Modified Keys:

    - img, expressions, gt_bboxes, gt_masks, gt_points

    Added Keys:

    - flip (bool), flip_direction (``'horizontal'`` or None)

    Args:
        prob (float): Share of the samples that are mirrored. Defaults to 0.5.
        swapped_words (tuple[tuple[str, str], ...]): Pairs of words that change places.
    """

    def __init__(self, prob: float = 0.5, swapped_words: tuple[tuple[str, str], ...] = SWAPPED_WORDS) -> None:
        self.prob = prob
        self.swapped_words = tuple(map(tuple, swapped_words))
        self._other = {one: two for pair in self.swapped_words for one, two in (pair, pair[::-1])}
        self._pattern = re.compile(r'\b(' + '|'.join(map(re.escape, self._other)) + r')\b', re.IGNORECASE)

    def transform(self, results: dict) -> dict:
        """Mirror, or leave everything as it is."""
        results['flip'] = rng_of(results).random() < self.prob
        results['flip_direction'] = 'horizontal' if results['flip'] else None
        if not results['flip']:
            return results
        width = results['img'].shape[1]
        results['img'] = np.ascontiguousarray(imflip(results['img']))
        results['expressions'] = [self.swap(text) for text in results['expressions']]
        if 'gt_bboxes' in results:
            boxes = results['gt_bboxes'].copy()
            # boxes end at the last pixel, as SeqTR's
            boxes[:, [0, 2]] = np.clip(width - boxes[:, [2, 0]], 0, width - 1)
            results['gt_bboxes'] = boxes
        if 'gt_masks' in results:
            results['gt_masks'] = results['gt_masks'].flip('horizontal')
        if 'gt_points' in results:
            results['gt_points'] = [mirrored(points, width) for points in results['gt_points']]
        return results

    def swap(self, text: str) -> str:
        """The sentence that is true of the mirrored image; capitals as they were."""

        def other(match: re.Match) -> str:
            word = match.group()
            swapped = self._other[word.lower()]
            return swapped.upper() if word.isupper() else swapped.title() if word.istitle() else swapped

        return self._pattern.sub(other, text)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(prob={self.prob}, swapped_words={self.swapped_words})'


def mirrored(points: np.ndarray | None, width: int) -> np.ndarray | None:
    """A contour (K, 2) mirrored: it starts at the same point and runs around in the same sense as before."""
    if points is None:
        return None
    points = np.roll(points[::-1], 1, axis=0)
    return np.stack([width - points[:, 0], points[:, 1]], axis=1)


@TRANSFORMS.register_module()
class LargeScaleJitter(BaseTransform):
    """Resize by a random factor and, where that makes the image too large, crop around the objects.

    The factor is drawn between ``jitter_min`` and ``jitter_max`` and is relative to the keep-ratio resize
    whose longer side is ``out_max_size``. Beyond 1, a window of that resize's size is drawn until it keeps
    enough of the objects: first 0.9 of them in ``tries`` tries, then 0.8, ..., then 0.5; else the best window
    so far if it keeps at least ``min_kept``; else the image is resized without jitter. What a window keeps
    is the mean over the N objects of the share of each box (or mask) inside of it. Objects of which the
    window keeps less than ``min_kept`` are dropped together with their expressions; a sample of one object is
    never dropped.

    Required Keys:

    - img, gt_bboxes and/or gt_masks with gt_has_mask
    - rng (optional)

    Modified Keys:

    - img, img_shape, scale_factor ((w, h) of the resize, before the window)
    - gt_bboxes, gt_masks
    - gt_has_mask (False where no pixel of a mask is left)
    - all keys with one entry per pair, where objects are dropped

    Args:
        out_max_size (int): Longer side of the result at most, in pixels. Defaults to 640.
        jitter_min (float): Smallest factor. Defaults to 0.3.
        jitter_max (float): Largest factor. Defaults to 1.4.
        min_kept (float): See above. Defaults to 0.3.
        kept_thresholds (tuple[float, ...]): See above. Defaults to (0.9, 0.8, 0.7, 0.6, 0.5).
        tries (int): See above. Defaults to 100.
        crop_by (str): ``'bbox'`` or ``'mask'`` (the box of objects without a mask). The originals go by the
            box when they train REC or multi-task, else by the mask. Defaults to ``'bbox'``; without boxes it
            is the mask.
        legacy (bool): Reproduce the originals: giving up returns the unscaled image with the scaled
            ``img_shape`` and scale factors of 1; boxes are moved by the fractional offset of the last window
            that was drawn, which is not always the one that is used; ``scale_factor`` is the ratio of sizes
            after the window; a box that misses the window in both directions counts as kept; nothing is
            dropped. Defaults to False.
    """

    def __init__(
        self,
        out_max_size: int = 640,
        jitter_min: float = 0.3,
        jitter_max: float = 1.4,
        min_kept: float = 0.3,
        kept_thresholds: tuple[float, ...] = (0.9, 0.8, 0.7, 0.6, 0.5),
        tries: int = 100,
        crop_by: str = 'bbox',
        legacy: bool = False,
    ) -> None:
        if crop_by not in ('bbox', 'mask'):
            raise ValueError(f"crop_by: found {crop_by!r}, expected 'bbox' or 'mask'")
        self.out_max_size = out_max_size
        self.jitter_min = jitter_min
        self.jitter_max = jitter_max
        self.min_kept = min_kept
        self.kept_thresholds = tuple(kept_thresholds)
        self.tries = tries
        self.crop_by = crop_by
        self.legacy = legacy

    def transform(self, results: dict) -> dict:
        """Jitter."""
        results.pop('gt_points', None)  # a window cuts contours: their masks give new ones
        rng = rng_of(results)
        height, width = results['img'].shape[:2]
        jitter = self.jitter_min + rng.random() * (self.jitter_max - self.jitter_min)
        scaled = self._rescaled(results, jitter)
        if jitter > 1:
            window_size = fitted_size(results['img'], (self.out_max_size, self.out_max_size))
            found = self._find_window(rng, scaled, window_size)
            if found is None:
                return self._give_up(results, scaled)
            offset, last_offset, shares = found
            self._crop(scaled, window_size, offset, last_offset if self.legacy else None)
        results.update(scaled)
        results['img_shape'] = new_height, new_width = results['img'].shape[:2]
        if 'gt_bboxes' in results:
            border = np.tile([new_width - 1, new_height - 1], 2)
            results['gt_bboxes'] = np.clip(results['gt_bboxes'], 0, border)
        if self.legacy:
            results['scale_factor'] = (new_width / width, new_height / height)
            return results
        if jitter > 1 and (shares < self.min_kept).any():
            keep_pairs(results, shares >= self.min_kept)
        flag_vanished_masks(results)
        return results

    def _rescaled(self, results: dict, jitter: float) -> dict:
        """The keys that a resize changes, after it."""
        height, width = results['img'].shape[:2]
        scale = jitter * (self.out_max_size / max(height, width))
        img = mmcv.imresize(results['img'], fitted_size(results['img'], scale), interpolation='bilinear')
        new_height, new_width = img.shape[:2]
        factor = (new_width / width, new_height / height)
        scaled = {'img': img, 'img_shape': (new_height, new_width), 'scale_factor': factor}
        if 'gt_bboxes' in results:
            scaled['gt_bboxes'] = results['gt_bboxes'] * np.tile(factor, 2)
        if 'gt_masks' in results:
            scaled['gt_masks'] = results['gt_masks'].resize((new_height, new_width), interpolation='bilinear')
            scaled['gt_has_mask'] = results['gt_has_mask']
        return scaled

    def _find_window(
        self, rng: random.Random, scaled: dict, window_size: tuple[int, int]
    ) -> tuple[tuple[float, float], tuple[float, float], np.ndarray] | None:
        """Draw windows.

        Returns:
            tuple | None: Offset (x, y) of the window, offset of the last one drawn, and the share that the
            window keeps of each object (N,). None if no window keeps ``min_kept``.
        """
        measure = _KeptShares(scaled, window_size, self.crop_by, self.legacy)
        free = [side - kept for side, kept in zip(scaled['img'].shape[1::-1], window_size, strict=True)]
        best, best_kept = None, 0.0
        for threshold in self.kept_thresholds:
            for _ in range(self.tries):
                offset = rng.random() * free[0], rng.random() * free[1]
                shares = measure(offset)
                kept = shares.mean()
                if kept > best_kept:
                    best, best_kept = (offset, shares), kept
                if kept >= threshold:
                    return offset, offset, shares
        if best is None or best_kept < self.min_kept:
            return None
        return best[0], offset, best[1]

    def _crop(
        self,
        scaled: dict,
        window_size: tuple[int, int],
        offset: tuple[float, float],
        box_offset: tuple[float, float] | None,
    ) -> None:
        """Cut the window out, in place; boxes move by ``box_offset`` if it is given."""
        x, y = (int(start) for start in offset)
        width, height = window_size
        scaled['img'] = scaled['img'][y : y + height, x : x + width]
        if 'gt_bboxes' in scaled:
            scaled['gt_bboxes'] = scaled['gt_bboxes'] - np.tile(box_offset or (x, y), 2)
        if 'gt_masks' in scaled:
            scaled['gt_masks'] = scaled['gt_masks'].crop(np.array([x, y, x + width, y + height]))

    def _give_up(self, results: dict, scaled: dict) -> dict:
        """No window keeps enough: resize without jitter (the originals return the image as it came)."""
        if self.legacy:
            results['img_shape'] = scaled['img_shape']
            results['scale_factor'] = (1.0, 1.0)
            return results
        results.update(self._rescaled(results, 1.0))
        flag_vanished_masks(results)
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(out_max_size={self.out_max_size}, jitter_min={self.jitter_min}, '
            f'jitter_max={self.jitter_max}, min_kept={self.min_kept}, '
            f'kept_thresholds={self.kept_thresholds}, tries={self.tries}, crop_by={self.crop_by!r}, '
            f'legacy={self.legacy})'
        )


class _KeptShares:
    """The share of each object (N,) that a window at an offset keeps, by its box or its mask."""

    def __init__(self, scaled: dict, window_size: tuple[int, int], crop_by: str, legacy: bool) -> None:
        self.size = np.array(window_size)
        self.legacy = legacy
        self.boxes = scaled.get('gt_bboxes')
        self.sums = {}
        if 'gt_masks' in scaled and (crop_by == 'mask' or self.boxes is None):
            # A summed-area table makes each try O(1); a mask that is withheld or has vanished cannot be
            # measured.
            masks = scaled['gt_masks'].masks
            self.sums = {row: cv2.integral(mask) for row, mask in enumerate(masks) if mask.any()}
            self.count = len(masks)
        else:
            self.count = len(self.boxes)

    def __call__(self, offset: tuple[float, float]) -> np.ndarray:
        shares = np.ones(self.count) if self.boxes is None else self._of_boxes(np.array(offset))
        (x1, y1), (x2, y2) = np.array(offset).astype(int), (offset + self.size).astype(int)
        for row, table in self.sums.items():
            shares[row] = (table[y2, x2] - table[y1, x2] - table[y2, x1] + table[y1, x1]) / table[-1, -1]
        return shares

    def _of_boxes(self, offset: np.ndarray) -> np.ndarray:
        start, end = self.boxes[:, :2], self.boxes[:, 2:]
        side = np.minimum(end, offset + self.size) - np.maximum(start, offset)
        inside = (side >= 0).all(axis=1)
        if not self.legacy:
            side = np.maximum(side, 0)
        area = (end - start).prod(axis=1)
        # A box of one pixel at the image's border has no area once it is clipped.
        return np.where(area > 0, side.prod(axis=1) / np.where(area > 0, area, 1), inside)


def _is_side(value: Any) -> bool:
    """Whether a value, of numpy perhaps, is a whole number of pixels."""
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= 1
