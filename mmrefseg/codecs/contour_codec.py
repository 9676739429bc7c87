"""Boxes and masks as sequences of coordinate tokens (SeqTR, ECCV 2022; Pix2Seq, ICLR 2022)."""

import math

import numpy as np

from .contours import SAMPLERS


class ContourCodec:
    """A box is four tokens, a mask the x and y tokens of up to ``num_points`` points on its contour.

    A coordinate becomes one of ``num_bins`` equal bins of the image's *own* side rounded up to a multiple
    of ``pad_divisor`` (not of the batch's size). Token ``num_bins`` is the end token; it fills sequences up.
    The same object encodes in the pipeline and decodes in the head: name it once in a config.

    Shapes: P ``num_points``, K points found (K <= P), T tokens.

    Args:
        num_points (int): Points on a contour. Defaults to 18.
        num_bins (int): Bins along each side. Defaults to 1000.
        sampling (str): ``'uniform'`` (SeqTR's default, which often yields fewer than P points; published
            weights were trained with it), ``'angle'`` (SeqTR's centre sampling), ``'even'`` (exactly P
            points at equal distances along the pixels' outer edges, so that the polygon is not half a pixel
            smaller than the mask on each side) or ``'even_above'`` (the same from another first point, see
            :func:`~mmrefseg.codecs.contours.sample_even_above`). All follow the outer contour of the mask's
            largest part. Mean IoU that 18 points of the first three leave of 107 RefCOCO masks (640 pixels,
            1000 bins): 92.5, 89.9 and 93.1; 12 points: 88.5, 85.3 and 89.1. Defaults to ``'uniform'``.
        pad_divisor (int): What the preprocessor pads to. Defaults to 32.
        bin_center (bool): Decode a token to the middle of its bin instead of its lower edge. The originals
            truncate both ways, which moves everything left and up by half a bin on average: 0.3 pixels at 640
            pixels and 1000 bins, much more with few bins. Defaults to False.
        legacy (bool): Reproduce the originals where they are wrong: coordinates are not clamped, so that one
            equal to the padded side becomes the end token and, in a mask, a negative one too; the -1 that
            fills up vertices becomes the valid token 0 where the padded side exceeds ``num_bins``; a mask of
            exactly four tokens is read as an [x, y, w, h] box. Defaults to False.
    """

    def __init__(
        self,
        num_points: int = 18,
        num_bins: int = 1000,
        sampling: str = 'uniform',
        pad_divisor: int = 32,
        bin_center: bool = False,
        legacy: bool = False,
    ) -> None:
        if sampling not in SAMPLERS:
            raise ValueError(f'sampling: found {sampling!r}, expected one of {sorted(SAMPLERS)}')
        if num_points < 3 or num_bins < 2 or pad_divisor < 1:
            raise ValueError(
                f'found num_points={num_points}, num_bins={num_bins}, pad_divisor={pad_divisor}, '
                'expected at least 3 points, 2 bins and a divisor of 1'
            )
        self.num_points = num_points
        self.num_bins = num_bins
        self.sampling = sampling
        self.pad_divisor = pad_divisor
        self.bin_center = bin_center
        self.legacy = legacy

    @property
    def end_token(self) -> int:
        """The token behind the last coordinate."""
        return self.num_bins

    @property
    def vocab_size(self) -> int:
        """Number of different tokens: the bins and the end token."""
        return self.num_bins + 1

    def padded_size(self, img_shape: tuple[int, ...]) -> tuple[int, int]:
        """(width, height) that coordinates of an image of shape (H, W[, C]) are relative to."""
        height, width = img_shape[:2]
        return tuple(math.ceil(side / self.pad_divisor) * self.pad_divisor for side in (width, height))

    def encode_box(self, box: np.ndarray, img_shape: tuple[int, ...]) -> np.ndarray:
        """Tokens of one or more boxes.

        Args:
            box (np.ndarray): (..., 4) x1, y1, x2, y2 in pixels of the network's image. Computed in float64.
            img_shape (tuple[int, ...]): (H, W[, C]) of that image without padding.

        Returns:
            np.ndarray: (..., 4) int64.
        """
        return self._quantize(np.asarray(box, np.float64), np.tile(self.padded_size(img_shape), 2))

    def sample_vertices(self, mask: np.ndarray) -> np.ndarray:
        """Points on the outer contour of the mask's largest part.

        Args:
            mask (np.ndarray): (H, W) uint8 or bool.

        Returns:
            np.ndarray: (K, 2) float32 x, y; (0, 2) for an empty mask and, except with ``'even...'``, for one
            that is a point or a line.
        """
        return SAMPLERS[self.sampling](mask, self.num_points)

    def encode_vertices(self, vertices: np.ndarray, img_shape: tuple[int, ...]) -> np.ndarray:
        """Tokens of (K, 2) vertices, K <= P: (2P,) int64 x, y, x, y, ..., filled up with end tokens."""
        if len(vertices) > self.num_points:
            raise ValueError(f'found {len(vertices)} vertices, expected at most {self.num_points}')
        filled = np.full((self.num_points, 2), -1, np.float32)
        filled[: len(vertices)] = vertices
        tokens = self._quantize(filled, np.asarray(self.padded_size(img_shape), np.float32))
        if self.legacy:
            tokens[tokens < 0] = self.end_token
        else:
            tokens[len(vertices) :] = self.end_token
        return tokens.reshape(-1)

    def encode_mask(self, mask: np.ndarray, img_shape: tuple[int, ...]) -> np.ndarray:
        """Tokens of a mask.

        Args:
            mask (np.ndarray): (H, W) uint8 or bool in the network's image.
            img_shape (tuple[int, ...]): (H, W[, C]) of that image without padding.

        Returns:
            np.ndarray: (2P,) int64; nothing but end tokens where :meth:`sample_vertices` finds no points.
        """
        return self.encode_vertices(self.sample_vertices(mask), img_shape)

    def decode_box(self, tokens: np.ndarray, img_shape: tuple[int, ...]) -> np.ndarray:
        """Boxes (..., 4) float64 x1, y1, x2, y2, in pixels of the network's image, of (..., 4) tokens."""
        return self._dequantize(np.asarray(tokens), np.tile(self.padded_size(img_shape), 2))

    def decode_mask(self, tokens: np.ndarray, img_shape: tuple[int, ...]) -> np.ndarray:
        """Vertices of a predicted sequence.

        Args:
            tokens (np.ndarray): (T,) integers. Everything from the first end token on is dropped, and an x
                without its y.
            img_shape (tuple[int, ...]): (H, W[, C]) of the network's image without padding.

        Returns:
            np.ndarray: (K, 2) float64 x, y in pixels of the network's image. Fewer than three make an empty
                mask.
        """
        tokens = np.asarray(tokens).reshape(-1)
        ends = np.flatnonzero(tokens == self.end_token)
        length = int(ends[0]) if len(ends) else len(tokens)
        pairs = tokens[: length - length % 2].reshape(-1, 2)
        vertices = self._dequantize(pairs, np.asarray(self.padded_size(img_shape)))
        if self.legacy and len(vertices) == 2:
            (x, y), (width, height) = vertices
            return np.array([[x, y], [x, y + height], [x + width, y + height], [x + width, y]])
        return vertices

    def permute_points(self, tokens: np.ndarray, order: list[int]) -> np.ndarray:
        """Bring the points of an encoded mask (2P,) into another order.

        Args:
            tokens (np.ndarray): (2P,) as :meth:`encode_mask` gives them.
            order (list[int]): The first of its indices names the point that comes first. As many as there are
                points before the end tokens; SeqTR permutes all P, end tokens included.
        """
        points = tokens.reshape(-1, 2).copy()
        points[: len(order)] = points[np.asarray(order, np.int64)]
        return points.reshape(-1)

    def _quantize(self, coordinates: np.ndarray, side: np.ndarray) -> np.ndarray:
        """Bins of coordinates, in the coordinates' own precision (float64 for boxes, float32 for
        vertices)."""
        tokens = (coordinates / side.astype(coordinates.dtype) * self.num_bins).astype(np.int64)
        return tokens if self.legacy else np.clip(tokens, 0, self.num_bins - 1)

    def _dequantize(self, tokens: np.ndarray, side: np.ndarray) -> np.ndarray:
        tokens = np.asarray(tokens, np.int64)
        if not self.legacy:
            tokens = np.clip(tokens, 0, self.num_bins - 1)
        position = tokens + 0.5 if self.bin_center else tokens
        return position * side / self.num_bins

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(num_points={self.num_points}, num_bins={self.num_bins}, '
            f'sampling={self.sampling!r}, pad_divisor={self.pad_divisor}, bin_center={self.bin_center}, '
            f'legacy={self.legacy})'
        )
