"""Mirroring pictures together with what their sentences say of left and right."""

import re

import numpy as np
from mmcv.image import imflip
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from .rows import rng_of

SWAPPED_WORDS = (('left', 'right'), ('leftmost', 'rightmost'))


@TRANSFORMS.register_module()
class RefFlip(BaseTransform):
    """Mirror a picture left to right, and swap left and right in its sentences.

    TransVG's augmentation (Deng et al., ICCV 2021), between LoadRefAnnotations and EncodeContour. Without the
    swap, sentences that name sides become wrong. Words are whole words in any case; what a
    sentence reads in the picture (text, clocks) stays wrong.

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
        """The sentence that is true of the mirrored picture; capitals as they were."""

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
