"""The original's own projection term (Partial-RES ``choose_pseudo_data.py``), for comparison only.

It differs from :func:`mmrefseg.pseudo_labels.projection.projection_term` in that the predicted mask becomes
the polygons of its contours first, in whatever frame it was predicted, and every polygon is compared with
the whole box on its own: a mask of two parts or with a hole never fills the box and is rejected. What else
the original does is not reproduced: where a step of its fails, the previous object's score decides, and the
object is accepted with its *true* mask.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from ..structures.polygons import polygon_bitmaps
from .projection import EPSILON


def legacy_projection_term(mask: np.ndarray, bbox: Sequence[float], height: int, width: int) -> float | None:
    """The number that the original compares with 0.1.

    Args:
        mask: (H, W) predicted mask; the original does not mind if its size is not the image's.
        bbox: The true box x, y, w, h in pixels.
        height: Of the image, in pixels.
        width: Of the image, in pixels.

    Returns:
        The sum of two dice losses in single precision, over all polygons together; None where the original
        fails and goes on with the number of the object before.
    """
    image = np.ascontiguousarray(mask, np.uint8)
    contours, _ = cv2.findContours(image, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    polygons = [contour.astype(float).flatten().tolist() for contour in contours if contour.size >= 6]
    if not polygons:
        return None
    parts = polygon_bitmaps(polygons, height, width)
    box = np.zeros((height, width), bool)
    left, top = int(bbox[0]), int(bbox[1])
    box[top : int(bbox[3]) + top, left : int(bbox[2]) + left] = True
    # Row by row of every part; the box is repeated for each part.
    terms = [_dice_loss(parts.any(axis=axis), box.any(axis=axis)) for axis in (0, 1)]
    return float(terms[0] + terms[1])


def _dice_loss(parts: np.ndarray, box: np.ndarray) -> np.float32:
    """(L, P) projections of P parts, (L,) projection of the box -> dice loss of all parts together."""
    inside = np.count_nonzero(parts & box[:, None])
    both = np.float32(np.count_nonzero(parts)) + np.float32(np.count_nonzero(box) * parts.shape[1])
    return np.float32(1.0) - np.float32(2 * inside) / (both + np.float32(EPSILON))
