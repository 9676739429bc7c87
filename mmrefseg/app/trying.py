"""One photo, some sentences, masks to look at and to take away: what the page Try does, without the page."""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..apis.prediction import Prediction
from ..datasets.images import read_image
from ..datasets.validation import expressions_problem
from ..utils import UserInputError, atomic_write
from ..utils.errors import printable
from ..visualization.overlay import draw_referent
from ..visualization.pages import sized
from .proposals import Proposer

MOST_SENTENCES, LONGEST_SENTENCE = 20, 300
MOST_BYTES = 50_000_000
"""Of an uploaded photo."""
LONGEST, SHORTEST = 1280, 720
"""Sides in pixels of what is shown."""


@dataclass(frozen=True)
class Answer:
    """What was found in a photo.

    Attributes:
        pictures: Of each sentence the photo (h, w, 3) uint8 RGB with the object, and a caption.
        rows: Of each sentence: itself, its score, and what was found.
        archive: A zip file of masks, drawings and ``predictions.json``.
        note: What a reader should know of the scores and words.
    """

    pictures: list[tuple[np.ndarray, str]]
    rows: list[tuple[str, float, str]]
    archive: Path
    note: str


def read_sentences(text: str) -> list[str]:
    """The sentences of a text, one a line; those that are there twice once.

    Raises:
        UserInputError: If there is none, there are too many, or one is too long.
    """
    lines = [line.strip() for line in str(text or '').splitlines()]
    sentences = list(dict.fromkeys(line for line in lines if line))
    if not sentences:
        raise UserInputError.of('Sentences', 'none', 'at least one', 'write what to look for')
    if len(sentences) > MOST_SENTENCES:
        raise UserInputError.of(
            'Sentences', str(len(sentences)), f'at most {MOST_SENTENCES}', 'ask in several turns'
        )
    longest = max(sentences, key=len)
    if len(longest) > LONGEST_SENTENCE:
        raise UserInputError.of(
            'Sentences', f'one of {len(longest)} letters', f'at most {LONGEST_SENTENCE}', 'make it shorter'
        )
    problem = expressions_problem(sentences)
    if problem:
        raise UserInputError.of('Sentences', *problem)
    return sentences


def read_photo(path: str | Path | None) -> np.ndarray:
    """An uploaded photo, (H, W, 3) uint8 RGB.

    Raises:
        UserInputError: If there is none, or it is too large, or cannot be decoded.
    """
    if path is None:
        raise UserInputError.of('Photo', 'none', 'one', 'choose a photo first')
    if (size := Path(path).stat().st_size) > MOST_BYTES:
        raise UserInputError.of(
            'Photo', f'{size / 1e6:.0f} MB', f'at most {MOST_BYTES / 1e6:.0f}', 'make it smaller'
        )
    try:
        return read_image(path)[..., ::-1]
    except UserInputError as error:  # the name is one of the server's
        raise UserInputError(str(error).replace(str(path), Path(path).name)) from None


def find(proposer: Proposer, photo: str | Path | None, text: str, threshold: float, folder: Path) -> Answer:
    """Look for sentences in a photo.

    Args:
        proposer: The network.
        photo: The uploaded file.
        text: Sentences, one a line.
        threshold: Least score of what counts as found, in [0, 1].
        folder: Where the archive goes.

    Raises:
        UserInputError: If photo or sentences are none that can be used.
    """
    sentences, image = read_sentences(text), read_photo(photo)
    found, unknown = proposer.ask(np.ascontiguousarray(image), sentences, float(threshold))
    pictures, rows, drawings = [], [], []
    for row, sentence in enumerate(sentences):
        hit, score = bool(found.found[row]), float(found.scores[row])
        drawings.append(draw_one(found, row, image))
        verdict = 'found' if hit else 'nothing found'
        pictures.append(
            (draw_one(found, row, image, shown=True), f'{sentence}: {f"{score:.2f}" if hit else verdict}')
        )
        rows.append((sentence, round(score, 3), verdict))
    note = f'Score: {found.score_means}.' + (f' Words: {unknown}.' if unknown else '')
    archive = folder / f'{Path(photo).stem[:60] or "photo"}_masks.zip'
    _write_archive(archive, found, drawings, Path(photo).name)
    return Answer(pictures, rows, archive, note)


def draw_one(found: Prediction, row: int, image: np.ndarray, shown: bool = False) -> np.ndarray:
    """The photo with the object of one sentence, (h, w, 3) uint8 RGB, at its own size or that of the page."""
    hit = bool(found.found[row])
    mask = found.masks[row] if hit and found.masks is not None else None
    box = found.boxes[row] if hit else None
    if shown:
        small = sized(image, SHORTEST, LONGEST)
        size, scale = small.shape[1::-1], small.shape[1] / image.shape[1]
        mask = None if mask is None else cv2.resize(mask.astype(np.float32), size) >= 0.5
        return draw_referent(small, None, mask, None if box is None else box * scale)
    verdict = f'{found.scores[row]:.2f}' if hit else '- nothing found'
    return draw_referent(image, f'{printable(found.labels[row])}  {verdict}', mask, box)


def _write_archive(path: Path, found: Prediction, drawings: list[np.ndarray], name: str) -> None:
    content = found.to_coco()
    content['images'][0]['file_name'] = name
    with atomic_write(path, 'wb') as file, zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('predictions.json', json.dumps(content, indent=1))
        for row, drawing in enumerate(drawings):
            archive.writestr(f'drawings/{row + 1}.jpg', _encoded(drawing, 'JPEG'))
            if found.masks is not None and found.found[row]:
                archive.writestr(
                    f'masks/{row + 1}.png', _encoded(found.masks[row].astype(np.uint8) * 255, 'PNG')
                )


def _encoded(pixels: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()
