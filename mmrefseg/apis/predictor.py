"""From Python in one line: weights, then images and sentences, then masks."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from PIL import Image

from ..engine.hooks import sentence_cuts
from ..runs.config import innermost_datasets
from ..utils import UserInputError
from ..utils.errors import printable
from ..utils.places import DEFAULT
from .checkpoint_config import config_for
from .inferencer import RefSegInferencer, as_sentences
from .instance_inferencer import InstanceInferencer
from .prediction import Prediction, Predictions

LOG = logging.getLogger('mmrefseg')
ImageLike: TypeAlias = str | os.PathLike | np.ndarray | Image.Image
MOST_SENTENCES = 32
"""Of one image in one pass of the network; more are taken in parts."""
CALIBRATED = 'the IoU to expect (calibrated)'


class Asked(NamedTuple):
    """An image and what to look for in it; no sentences for a detector."""

    image: ImageLike
    sentences: tuple[str, ...]
    name: str = ''  # of an image in memory


class Predictor:
    """A network with its weights, ready to predict. :func:`load` makes it.

    Attributes:
        infer: The inferencer behind it.
        refers: Whether it finds what sentences refer to; else it detects all objects of its classes.
        score_means: What its scores are, in words.
        tells_unknown_words: Whether it names each word that it does not know in the log, once, and says when
            a sentence is too long for it for the first time.
    """

    tells_unknown_words = True

    def __init__(self, infer: RefSegInferencer | InstanceInferencer) -> None:
        self.infer = infer
        self.refers = isinstance(infer, RefSegInferencer)
        self.score_means = _score_means(infer)
        self._told: set[str] = set()
        self._told_cut = False

    def predict(
        self,
        images: ImageLike | Sequence[ImageLike],
        sentences: str | Sequence[str] | Sequence[Sequence[str]] | None = None,
        threshold: float = 0.0,
        batch_size: int = 8,
    ) -> Prediction | Predictions:
        """Predict for one image or several.

        Args:
            images: A file, a PIL image, or a uint8 array: (H, W) grey, (H, W, 3) RGB, (H, W, 4) RGBA; or a
                list of these.
            sentences: What to look for: a sentence, a list of them, or, for several images, a list of such
                lists, one for each image. None for a detector, which finds all that it knows.
            threshold: Least score, in [0, 1], of what counts as found; :attr:`score_means` says what a score
                is. The rows of sentences without an object stay, see :attr:`Prediction.found`.
            batch_size: So many images of one size go through the network at once. The results do not depend
                on it, but for rounding.

        Returns:
            Of one image a :class:`Prediction` with a row for each sentence, of a list :class:`Predictions`.

        Raises:
            UserInputError: If an image cannot be read, a sentence is empty, sentences are missing or
                given to a detector, or their number does not fit the images.
        """
        if not 0 <= threshold <= 1:
            raise UserInputError.of('threshold', repr(threshold), 'a number from 0 to 1', 'change it')
        alone = isinstance(images, ImageLike)
        many = [images] if alone else list(images)
        asked = [
            Asked(*each) for each in zip(many, self._sentences(sentences, len(many), alone), strict=True)
        ]
        found = Predictions(self.stream(asked, threshold, batch_size))
        return found[0] if alone else found

    def stream(
        self, asked: Iterable[Asked], threshold: float = 0.0, batch_size: int = 8
    ) -> Iterator[Prediction]:
        """:meth:`predict` for pairs of images and sentences, one prediction after the other in their order.

        Args:
            asked: Read as it goes, so that any number of images takes the memory of a batch.
            threshold: As of :meth:`predict`.
            batch_size: The same.
        """
        parts: list[DetDataSample] = []
        waiting: list[tuple[Asked, int]] = []
        prepared = self._prepare(asked, waiting)
        for sample in _in_batches(self.infer, prepared, batch_size):
            parts.append(sample)
            if len(parts) == waiting[0][1]:
                yield self._prediction(waiting.pop(0)[0], parts, threshold)
                parts = []

    def unknown_words(self) -> str:
        """What share of the words read so far the network knows, and the others by name; '' if it knows all.

        A network that reads word pieces (BERT) knows any word.
        """
        usage = getattr(self._vocabulary(), 'usage', None)
        return str(usage) if usage is not None and usage.unknown else ''

    def cut_sentences(self) -> str:
        """How many of the sentences read so far were too long for the network, which reads their beginning.

        Returns:
            ``2 of 3 sentences were cut to 15 words; the longest has 20``, or '' if none was.
        """
        return next((str(cuts) for cuts in sentence_cuts(self.infer.model) if cuts.cut), '')

    def forget_words(self) -> None:
        """Let :meth:`unknown_words` and :meth:`cut_sentences` count anew."""
        usage = getattr(self._vocabulary(), 'usage', None)
        for counts in (*([] if usage is None else [usage]), *sentence_cuts(self.infer.model)):
            counts.clear()

    def _prepare(self, asked: Iterable[Asked], waiting: list[tuple[Asked, int]]) -> Iterator[dict[str, Any]]:
        """What goes through the network, image by image; ``waiting`` gets each with its number of parts."""
        for each in asked:
            image = self.infer.read(_to_bgr_or_file(each.image))
            step = range(0, max(len(each.sentences), 1), MOST_SENTENCES)
            waiting.append((each, len(step)))
            for start in step:
                part = each.sentences[start : start + MOST_SENTENCES]
                yield self.infer.prepare(image, part) if self.refers else self.infer.prepare(image)

    def _sentences(self, given: Any, images: int, alone: bool) -> list[tuple[str, ...]]:
        """The sentences of each image."""
        if not self.refers:
            if given is not None:
                raise UserInputError.of(
                    'sentences', 'some for a detector', 'none', 'leave them out, or load other weights'
                )
            return [()] * images
        if given is None:
            raise UserInputError.of('sentences', 'none', 'at least one sentence', 'say what to look for')
        nested = not isinstance(given, str) and any(isinstance(each, list | tuple) for each in given)
        if not nested:
            return [tuple(as_sentences(given))] * images
        if alone or len(given) != images:
            raise UserInputError.of(
                'sentences',
                f'{len(given)} lists for {images} images',
                'one for each',
                'give each image its own',
            )
        return [tuple(as_sentences(each)) for each in given]

    def _prediction(self, asked: Asked, samples: list[DetDataSample], threshold: float) -> Prediction:
        if self.tells_unknown_words:
            self._tell_unknown()
        parts = [sample.pred_instances.cpu() for sample in samples]
        labels = asked.sentences if self.refers else self._class_names(parts[0].labels.tolist())
        masks = None
        if 'masks' in parts[0]:
            masks = np.concatenate([np.asarray(part.masks, bool) for part in parts])
        name = os.fspath(asked.image) if isinstance(asked.image, str | os.PathLike) else asked.name
        return Prediction(
            str(name),
            tuple(int(side) for side in samples[0].ori_shape[:2]),
            tuple(labels),
            masks,
            np.concatenate([part.bboxes.numpy() for part in parts]),
            np.concatenate([part.scores.numpy() for part in parts]),
            threshold,
            self.score_means,
        )

    def _class_names(self, labels: list[int]) -> list[str]:
        names = self.infer.classes
        return [names[label] if label < len(names) else f'class {label}' for label in labels]

    def _vocabulary(self) -> Any:
        parts = (getattr(module, 'vocabulary', None) for module in self.infer.model.modules())
        return next((vocabulary for vocabulary in parts if vocabulary is not None), None)

    def _tell_unknown(self) -> None:
        """Name a word that the network does not know in the log, once; and the first sentence too long."""
        usage = getattr(self._vocabulary(), 'usage', None)
        new = sorted(set(usage.unknown) - self._told) if usage is not None else []
        if new:
            self._told.update(new)
            LOG.warning('words that the network does not know: %s', ', '.join(map(printable, new)))
        cut = '' if self._told_cut else self.cut_sentences()
        if cut:
            self._told_cut = True
            LOG.warning('%s', cut)


def load(
    weights: str | os.PathLike = DEFAULT,
    config: str | os.PathLike | Config | None = None,
    device: str | None = None,
    calibration: str | os.PathLike | None = None,
) -> Predictor:
    """A network with its weights.

    >>> import mmrefseg, numpy as np
    >>> predictor = mmrefseg.load()  # weights inside the package, for pictures of RefShapes
    >>> picture = np.full((96, 128, 3), 120, np.uint8)
    >>> picture[30:60, 20:50] = (220, 40, 40)
    >>> found = predictor.predict(picture, ['the red square', 'the left square'])
    >>> found.masks.shape, found.boxes.shape, found.scores.shape
    ((2, 96, 128), (2, 4), (2,))

    Args:
        weights: A checkpoint, or the address of weights inside the package (the default).
        config: Only for a checkpoint that carries none: the one that it was trained with.
        device: Torch device; a GPU if there is one.
        calibration: A file of ``tools/analysis_tools/calibrate_scores.py``: scores become the IoUs to expect.

    Raises:
        UserInputError: If the weights are missing, or carry no config, or do not fit it.
    """
    config = config_for(config, weights)
    datasets = innermost_datasets(config.test_dataloader)
    if any(step['type'] == 'PackRefInputs' for step in datasets[0]['pipeline']):
        return Predictor(RefSegInferencer(config, weights, device, calibration=calibration))
    if calibration is not None:
        raise UserInputError.of(
            'calibration', 'one for a detector', 'none: it is for referring networks', 'leave it out'
        )
    return Predictor(InstanceInferencer(config, weights, device))


def _score_means(infer: RefSegInferencer | InstanceInferencer) -> str:
    if isinstance(infer, InstanceInferencer):
        return 'the probability of the class'
    if infer.calibration is not None:
        return CALIBRATED
    if getattr(infer.model, 'quality', None) is not None:
        return 'the predicted IoU'
    kind = type(getattr(infer.model, 'segmentor', infer.model)).__name__
    return (
        'the mean probability inside the mask'
        if kind == 'LAVT'
        else "the contour's probability, uncalibrated"
    )


def _to_bgr_or_file(image: ImageLike) -> ImageLike:
    """Arrays of this interface are RGB, those of the inferencers BGR; others are left to them."""
    if isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[-1] in (3, 4):
        return image[..., 2::-1]
    return image


def _in_batches(
    infer: RefSegInferencer | InstanceInferencer, prepared: Iterable[dict[str, Any]], batch_size: int
) -> Iterator[DetDataSample]:
    """Neighbours whose inputs have one size go through together: nothing is padded for another."""
    batch: list[dict[str, Any]] = []
    for each in prepared:
        if batch and (len(batch) == batch_size or batch[0]['inputs'].shape != each['inputs'].shape):
            yield from infer.run(pseudo_collate(batch))
            batch = []
        batch.append(each)
    if batch:
        yield from infer.run(pseudo_collate(batch))
