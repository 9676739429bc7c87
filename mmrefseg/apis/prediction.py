"""What a model finds in one image, and the formats that other programs read it in.

Letters: N sentences (or objects of a detector), H, W the image's size.
"""

import base64
import importlib.util
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from PIL import Image

from ..structures.rle import encode_mask
from ..utils import UserInputError
from ..visualization.drawing import trace_outlines

LABELME_VERSION = '5.5.0'


@dataclass(frozen=True)
class Prediction:
    """What one image holds, a row for each sentence.

    >>> masks = np.zeros((1, 4, 6), bool)
    >>> masks[0, 1:3, 2:5] = True
    >>> found = Prediction('a.png', (4, 6), ('the cup',), masks, np.array([[2., 1, 5, 3]]), np.array([0.8]))
    >>> len(found), found.found.tolist(), found.labels[0]
    (1, [True], 'the cup')
    >>> found.to_coco()['annotations'][0]['bbox']
    [2.0, 1.0, 3.0, 2.0]

    Attributes:
        file_name: Of the image as it was given; '' for one in memory.
        size: (H, W) of the image in pixels.
        labels: N sentences; of a detector, the objects' class names.
        masks: (N, H, W) bool; None where the network predicts boxes alone.
        boxes: (N, 4) float, x1, y1, x2, y2 in pixels.
        scores: (N,) float in [0, 1]; :attr:`score_means` says of what.
        threshold: Least score of what counts as found.
        score_means: What a score is, in words.
    """

    file_name: str
    size: tuple[int, int]
    labels: tuple[str, ...]
    masks: np.ndarray | None
    boxes: np.ndarray
    scores: np.ndarray
    threshold: float = 0.0
    score_means: str = ''

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def found(self) -> np.ndarray:
        """(N,) bool: whether the score reaches the threshold and the mask, if there is one, is not empty."""
        some = self.scores >= self.threshold
        return some if self.masks is None else some & self.masks.any((1, 2))

    def rows(self, kept: np.ndarray) -> 'Prediction':
        """Some of the rows, by their indices (K,)."""
        masks = None if self.masks is None else self.masks[kept]
        labels = tuple(self.labels[row] for row in kept)
        return replace(self, labels=labels, masks=masks, boxes=self.boxes[kept], scores=self.scores[kept])

    def to_coco(self) -> dict[str, Any]:
        """:func:`to_coco` of this image alone."""
        return to_coco([self])

    def to_labelme(self) -> dict[str, Any]:
        """The content of a labelme file, which lies beside the image: polygons that can be dragged.

        Parts of one mask share their ``group_id``; a mask with a hole, which a polygon cannot tell, becomes a
        shape of type ``mask``, one without mask a rectangle.
        """
        shapes = [shape for row in np.flatnonzero(self.found) for shape in self._shapes(int(row))]
        return {
            'version': LABELME_VERSION,
            'flags': {},
            'shapes': shapes,
            'imagePath': self.file_name.rsplit('/', 1)[-1],
            'imageData': None,
            'imageHeight': self.size[0],
            'imageWidth': self.size[1],
        }

    def to_supervision(self) -> Any:
        """As ``supervision.Detections``: what was found, sentences in ``data['class_name']``.

        Raises:
            UserInputError: If supervision is not installed.
        """
        if importlib.util.find_spec('supervision') is None:
            raise UserInputError.of(
                'to_supervision', 'no supervision', 'the package', 'pip install supervision'
            )
        import supervision

        kept = np.flatnonzero(self.found)
        names = np.array([self.labels[row] for row in kept], dtype=str)
        return supervision.Detections(
            xyxy=self.boxes[kept].astype(np.float32).reshape(-1, 4),
            mask=None if self.masks is None else self.masks[kept],
            confidence=self.scores[kept].astype(np.float32),
            class_id=np.unique(names, return_inverse=True)[1].astype(int),
            data={'class_name': names},
        )

    def _shapes(self, row: int) -> list[dict[str, Any]]:
        common = {
            'label': self.labels[row],
            'group_id': row,
            'description': f'score {self.scores[row]:.3f}',
            'flags': {},
        }
        if self.masks is None:
            x1, y1, x2, y2 = self.boxes[row].tolist()
            return [{**common, 'points': [[x1, y1], [x2, y2]], 'shape_type': 'rectangle', 'mask': None}]
        top, left, part = crop_to_mask(self.masks[row])
        if has_hole(part):
            height, width = part.shape
            corners = [[left, top], [left + width - 1, top + height - 1]]
            return [{**common, 'points': corners, 'shape_type': 'mask', 'mask': _png(part)}]
        return [
            {**common, 'points': np.add(outline, (left, top)).tolist(), 'shape_type': 'polygon', 'mask': None}
            for outline in trace_outlines(part)
        ]


class Predictions(list[Prediction]):
    """Of several images, in their order."""

    def to_coco(self) -> dict[str, Any]:
        """:func:`to_coco` of all of them."""
        return to_coco(self)

    def to_labelme(self) -> list[dict[str, Any]]:
        """One labelme content for each image."""
        return [each.to_labelme() for each in self]

    def to_supervision(self) -> list[Any]:
        """One ``supervision.Detections`` for each image."""
        return [each.to_supervision() for each in self]


@dataclass
class CocoWriter:
    """Gathers predictions in COCO's format, one image after the other; masks are kept as run lengths."""

    info: dict[str, Any] = field(default_factory=dict)
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    categories: dict[str, int] = field(default_factory=dict)

    def add(self, prediction: Prediction, more: Sequence[dict[str, Any]] | None = None) -> None:
        """Add an image.

        Args:
            prediction: Of the image.
            more: N further entries of the annotations, such as the files of their masks.
        """
        number = len(self.images) + 1
        height, width = prediction.size
        name = prediction.file_name or f'image_{number}'
        self.images.append({'id': number, 'file_name': name, 'height': height, 'width': width})
        if prediction.score_means:
            self.info['score'] = prediction.score_means
        for row in np.flatnonzero(prediction.found):
            label = prediction.labels[row]
            x1, y1, x2, y2 = (round(value, 2) for value in prediction.boxes[row].tolist())
            annotation = {
                'id': len(self.annotations) + 1,
                'image_id': number,
                'category_id': self.categories.setdefault(label, len(self.categories) + 1),
                'bbox': [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
                'area': float((x2 - x1) * (y2 - y1)),
                'iscrowd': 0,
                'score': round(float(prediction.scores[row]), 4),
                'expression': label,
            }
            if prediction.masks is not None:
                mask = prediction.masks[row]
                annotation |= {'segmentation': encode_mask(mask), 'area': int(mask.sum())}
            self.annotations.append(annotation | (dict(more[row]) if more else {}))

    def content(self) -> dict[str, Any]:
        """What the file holds."""
        categories = [{'id': number, 'name': name} for name, number in self.categories.items()]
        return {
            'info': {'description': 'predictions of mmrefseg', **self.info},
            'images': self.images,
            'annotations': self.annotations,
            'categories': categories,
        }


def to_coco(predictions: Iterable[Prediction]) -> dict[str, Any]:
    """Predictions as the content of a COCO file that needs no annotation file beside it.

    Each image has its file name and size; each sentence is a category of its own, so that any viewer shows
    it, and stands as ``expression`` in its annotations too. What was not found has no annotation.

    Args:
        predictions: Of any number of images.

    Returns:
        ``info``, ``images``, ``annotations`` (mask as run lengths, box [x, y, width, height], score) and
        ``categories``.
    """
    writer = CocoWriter()
    for each in predictions:
        writer.add(each)
    return writer.content()


def crop_to_mask(mask: np.ndarray) -> tuple[int, int, np.ndarray]:
    """The first row and column of a mask that is not empty, and the part (h, w) that its box holds."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = int(rows[0]), int(columns[0])
    return top, left, mask[top : rows[-1] + 1, left : columns[-1] + 1]


def has_hole(mask: np.ndarray) -> bool:
    """Whether the background inside a mask (H, W) is cut off from the outside.

    >>> ring = np.ones((3, 3), bool)
    >>> ring[1, 1] = False
    >>> has_hole(ring), has_hole(ring[:2])
    (True, False)
    """
    from scipy.ndimage import label

    # The background is connected over corners where the mask's parts, as polygons, are not.
    return label(~np.pad(mask, 1), np.ones((3, 3)))[1] > 1


def _png(mask: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, 'PNG')
    return base64.b64encode(file.getvalue()).decode()
