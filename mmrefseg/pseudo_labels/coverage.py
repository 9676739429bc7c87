"""Which objects stand for the others: descriptors of objects, and orders in which to draw their masks.

N objects, D numbers of a descriptor, L landmarks (objects that are to be covered), K objects in an order.
Orders are greedy: a longer one begins with the shorter.
"""

import heapq
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

COLOUR_BINS = 4
THUMBNAIL = 8
LANDMARKS = 4000
# Rows of similarities that are held at once.
CHUNK = 512
METHODS = ('facility', 'k-center', 'none')


def colour_histogram(image: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """(64,) square roots of the shares of 4 x 4 x 4 colours inside a box: their distances are Hellinger's.

    Args:
        image: (H, W, 3) uint8.
        box: x, y, width, height in pixels.
    """
    left, top, right, bottom = whole_box(box, *image.shape[:2])
    bins = image[top:bottom, left:right].reshape(-1, 3).astype(np.int64) * COLOUR_BINS // 256
    index = (bins[:, 0] * COLOUR_BINS + bins[:, 1]) * COLOUR_BINS + bins[:, 2]
    return np.sqrt(np.bincount(index, minlength=COLOUR_BINS**3) / len(index))


def box_size(box: Sequence[float], height: int, width: int) -> np.ndarray:
    """(2,) logarithms of a box's size (the square root of its share of the image) and of its aspect."""
    _, _, w, h = np.maximum(np.asarray(box, np.float64), 1.0)
    return np.log([np.sqrt(w * h / (width * height)), w / h])


def thumbnail(mask: np.ndarray, box: Sequence[float]) -> np.ndarray:
    """(64,) shares of the mask (H, W) in 8 x 8 cells of a box x, y, width, height."""
    left, top, right, bottom = whole_box(box, *mask.shape)
    inside = np.asarray(mask[top:bottom, left:right], np.float32)
    return cv2.resize(inside, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).ravel()


def whole_box(box: Sequence[float], height: int, width: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the whole pixels that a box touches, at least one, inside the image."""
    x, y, w, h = box
    left, top = min(max(int(x), 0), width - 1), min(max(int(y), 0), height - 1)
    right, bottom = int(np.ceil(min(x + w, width))), int(np.ceil(min(y + h, height)))
    return left, top, max(right, left + 1), max(bottom, top + 1)


def one_hot(categories: Sequence) -> np.ndarray:
    """(N, C) 1 in the column of an object's category."""
    known = {category: column for column, category in enumerate(dict.fromkeys(categories))}
    return np.eye(len(known))[[known[category] for category in categories]]


def join(groups: Mapping[str, np.ndarray]) -> np.ndarray:
    """(N, D) float32: groups (N, d) side by side, each centred and scaled so that all vary as much."""
    parts = []
    for group in groups.values():
        centred = np.asarray(group, np.float64) - np.mean(group, axis=0)
        spread = np.sqrt((centred**2).sum(axis=1).mean())
        parts.append(centred / spread if spread > 0 else centred)
    return np.concatenate(parts, axis=1).astype(np.float32)


def choose_order(
    method: str,
    features: np.ndarray,
    needs: np.ndarray,
    number: int,
    drawn: Sequence[int] = (),
    seed: int = 0,
) -> list[int]:
    """The objects to draw, the first first.

    Args:
        method: ``'facility'`` (:func:`facility_order`), ``'k-center'`` (:func:`k_center_order`) or ``'none'``
            (the neediest).
        features: (N, D) descriptors.
        needs: (N,) in [0, 1].
        number: K, at most as many as are not drawn.
        drawn: Objects whose masks are there; they cover others, and are not chosen.
        seed: Draws the landmarks.
    """
    if method == 'facility':
        return facility_order(features, needs, number, drawn, seed)
    if method == 'k-center':
        return k_center_order(features, needs, number, drawn)
    left = np.setdiff1d(np.arange(len(needs)), drawn)
    return left[np.argsort(-needs[left], kind='stable')][:number].tolist()


def facility_order(
    features: np.ndarray,
    needs: np.ndarray,
    number: int,
    drawn: Sequence[int] = (),
    seed: int = 0,
    landmarks: int = LANDMARKS,
) -> list[int]:
    """Greedy weighted facility location: each choice covers most of the need that is left.

    An object is covered as much as the nearest chosen one is like it, exp(-(distance / s)^2) with s half of
    the median distance; what is maximised is the sum of needs x coverage, over all objects or as many
    landmarks. The gain of an object only falls, so most need not be computed again (Minoux, 1978).

    Args:
        features, needs, number, drawn, seed: See :func:`choose_order`.
        landmarks: L, at most.
    """
    count = len(features)
    rng = np.random.default_rng(seed)
    marks = np.arange(count) if count <= landmarks else np.sort(rng.choice(count, landmarks, replace=False))
    likeness = _Likeness(features, marks, rng)
    covered = np.zeros(len(marks), np.float32)
    for chunk in _chunks(drawn):
        covered = np.maximum(covered, likeness.of(chunk).max(axis=0))
    weight = needs[marks].astype(np.float32)

    def gains(rows: Sequence[int]) -> np.ndarray:
        return np.maximum(likeness.of(rows) - covered, 0) @ weight

    left = np.setdiff1d(np.arange(count), drawn)
    bounds = np.concatenate([gains(chunk) for chunk in _chunks(left)]) if len(left) else ()
    # What gains nothing more goes by its need, then by its place.
    heap = [(-float(gain), -float(needs[row]), int(row)) for gain, row in zip(bounds, left, strict=True)]
    heapq.heapify(heap)
    order: list[int] = []
    while heap and len(order) < number:
        _, need, row = heap[0]
        entry = (-float(gains([row])[0]), need, row)
        heapq.heapreplace(heap, entry)
        if heap[0] == entry:
            heapq.heappop(heap)
            order.append(row)
            covered = np.maximum(covered, likeness.of([row])[0])
    return order


class _Likeness:
    """How much objects are like the landmarks, in [0, 1]."""

    def __init__(self, features: np.ndarray, marks: np.ndarray, rng: np.random.Generator) -> None:
        self.features, self.marks = features, features[marks]
        self.norms = (self.marks**2).sum(axis=1)
        some = rng.choice(len(marks), min(len(marks), 500), replace=False)
        distances = self._squared(self.marks[some])[:, some]
        positive = distances[distances > 1e-6]
        self.width = float(np.median(positive)) / 4 if len(positive) else 1.0

    def of(self, rows: Sequence[int]) -> np.ndarray:
        """(rows, L)."""
        return np.exp(-self._squared(self.features[rows]) / self.width)

    def _squared(self, points: np.ndarray) -> np.ndarray:
        squared = (points**2).sum(axis=1)[:, None] + self.norms - 2 * points @ self.marks.T
        return np.maximum(squared, 0)


def _chunks(rows: Sequence[int]) -> list[np.ndarray]:
    rows = np.asarray(rows, np.int64)
    return [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]


def k_center_order(
    features: np.ndarray, needs: np.ndarray, number: int, drawn: Sequence[int] = ()
) -> list[int]:
    """Greedy weighted k-center: each choice has the largest need x distance to the nearest chosen one.

    The first, with nothing drawn, is the neediest. It finds what is unlike all others, outliers too.

    Args:
        features, needs, number, drawn: See :func:`choose_order`.
    """
    distance = np.full(len(features), np.inf)
    for row in drawn:
        distance = np.minimum(distance, np.linalg.norm(features - features[row], axis=1))
    taken = np.zeros(len(features), bool)
    taken[list(drawn)] = True
    order: list[int] = []
    while len(order) < number and not taken.all():
        value = needs * (distance if np.isfinite(distance).all() else 1.0)
        row = int(np.argmax(np.where(taken, -1.0, value)))
        order.append(row)
        taken[row] = True
        distance = np.minimum(distance, np.linalg.norm(features - features[row], axis=1))
    return order
