"""What a network proposes for objects whose boxes are known: contours, and signals that rank them."""

import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dataset import pseudo_collate

from ..apis.prediction import Prediction
from ..apis.predictor import Predictor, load
from ..structures.boxes import xywh_to_xyxy
from ..structures.rle import RLE, encode_mask
from ..utils import UserInputError


class Proposer:
    """A network that serves one request at a time; it is loaded when it is first needed.

    Args:
        weights: A checkpoint, or the address of weights inside the package.
        device: Torch device; a GPU if there is one.
    """

    def __init__(self, weights: str, device: str | None = None) -> None:
        self.weights, self.device = weights, device
        self._predictor: Predictor | None = None
        self._lock = threading.RLock()

    @property
    def predictor(self) -> Predictor:
        """The network.

        Raises:
            UserInputError: If the weights are of a detector, or cannot be loaded.
        """
        with self._lock:
            if self._predictor is None:
                predictor = load(self.weights, device=self.device)
                if not predictor.refers:
                    raise UserInputError.of(
                        self.weights, 'weights of a detector', 'weights of a network that reads sentences',
                        'name others with --weights',
                    )  # fmt: skip
                self._predictor = predictor
            return self._predictor

    def use(self, weights: str) -> None:
        """Take other weights from the next request on."""
        with self._lock:
            if weights != self.weights:
                self.weights, self._predictor = weights, None

    def predict(self, image: str | Path | np.ndarray, sentences: Sequence[str], **options: Any) -> Any:
        """:meth:`mmrefseg.apis.predictor.Predictor.predict`, one request after the other."""
        with self._lock:
            return self.predictor.predict(image, sentences, **options)

    def ask(self, image: np.ndarray, sentences: Sequence[str], threshold: float) -> tuple[Prediction, str]:
        """A prediction, and what the network does not know or read of these sentences; '' if it reads all."""
        with self._lock:
            self.predictor.forget_words()
            found = self.predictor.predict(image, sentences, threshold=threshold)
            left_out = (self.predictor.unknown_words(), self.predictor.cut_sentences())
            return found, '; '.join(filter(None, left_out))

    def contour(self, image: np.ndarray, record: dict) -> np.ndarray | None:
        """The mask of an object inside its box; None if the network draws none.

        Args:
            image: (H, W, 3) uint8, RGB.
            record: With ``bbox`` and ``expressions``.

        Returns:
            (H, W) bool.
        """
        masks, _ = self.in_boxes(image, [record['expressions'][0]], [record['bbox']])
        if masks is None or not masks[0].any():
            return None
        return masks[0]

    def signals(
        self,
        objects: Sequence[dict],
        read: Callable[[dict], np.ndarray],
        progress: Callable[[Iterable], Iterable] = iter,
    ) -> dict[int, list[dict]]:
        """Predictions of all sentences of objects, without their boxes, for the choice of what to draw.

        Args:
            objects: See :func:`mmrefseg.pseudo_labels.masks_to_draw.objects_to_draw`.
            read: The image (H, W, 3) uint8 RGB of a record.
            progress: Wraps the loop over the images.

        Returns:
            By ``ref_id`` of an object, one prediction for each sentence, as a file of predictions has them.
        """
        found: dict[int, list[dict]] = {}
        ordered = sorted(objects, key=lambda record: str(record['file_name']))
        images = [list(group) for _, group in groupby(ordered, key=lambda record: str(record['file_name']))]
        for records in progress(images):
            sentences = [text for record in records for text in record['expressions']]
            answers = self.predict(read(records[0]), sentences)
            if answers.masks is None:
                return {}
            row = 0
            for record in records:
                found[record['ref_id']] = [
                    _as_prediction(record, number, answers, row + number)
                    for number in range(len(record['expressions']))
                ]
                row += len(record['expressions'])
        return found

    def in_boxes(
        self, image: np.ndarray, sentences: list[str], boxes: list[Sequence[float]]
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """Masks where the boxes are known.

        Args:
            image: (H, W, 3) uint8, RGB.
            sentences: N.
            boxes: Of each x, y, width, height in pixels.

        Returns:
            (N, H, W) bool, None of a network that draws no masks; (N,) scores.
        """
        with self._lock:
            return self._in_boxes(image, sentences, boxes)

    def _in_boxes(
        self, image: np.ndarray, sentences: list[str], boxes: list[Sequence[float]]
    ) -> tuple[np.ndarray | None, np.ndarray]:
        infer = self.predictor.infer
        prepared = infer.prepare(infer.read(np.ascontiguousarray(image[..., ::-1])), sentences)
        known = xywh_to_xyxy(np.asarray(boxes, float)).astype(np.float32)
        prepared['data_samples'].gt_instances.bboxes = torch.from_numpy(known)
        settings = getattr(infer.model, 'test_cfg', None)
        can = isinstance(settings, dict) and 'confine_to_box' in settings
        before = settings['confine_to_box'] if can else None
        try:
            if can:
                settings['confine_to_box'] = True
            found = infer.run(pseudo_collate([prepared]))[0].pred_instances
        finally:
            if can:
                settings['confine_to_box'] = before
        masks = np.asarray(found.masks, bool) if 'masks' in found else None
        return masks, found.scores.cpu().numpy()


def _as_prediction(record: dict, number: int, answers: Any, row: int) -> dict[str, Any]:
    rle: RLE = encode_mask(answers.masks[row])
    return {
        'ref_id': record['ref_id'],
        'sent_id': number,
        'expression': record['expressions'][number],
        'segmentation': rle,
        'score': min(max(float(answers.scores[row]), 0.0), 1.0),
    }


class Answers:
    """Predictions in memory, asked as a :class:`~mmrefseg.pseudo_labels.prediction_shards.PredictionStore`.

    Args:
        by_object: Of :meth:`Proposer.signals`.
    """

    def __init__(self, by_object: dict[int, list[dict]]) -> None:
        self._by_object = by_object

    def of_object(self, ref_id: int) -> list[dict]:
        """Of one object."""
        return self._by_object.get(ref_id, [])
