"""Masks for many photos: a network, photos with sentences, and the files and lines that come of them."""

import argparse
import contextlib
import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..apis.prediction import CocoWriter, Prediction
from ..apis.predictor import Asked, Predictor, load
from ..datasets.images import decode_image
from ..datasets.photo_sentences import STDIN, Wanted
from ..structures.rle import encode_mask
from ..utils import UserInputError, atomic_write, dump_json, make_folder, progress_bar
from ..utils.errors import names_output, printable
from ..visualization.instance_drawing import draw_instances
from ..visualization.overlay import draw_referent
from .photo_files import PhotoFiles

DETECTED = 0.5
"""Least score of a detector's objects where none is given; a sentence has one answer, whatever its score."""


class PhotoRun:
    """One call of ``mmrefseg predict``.

    Args:
        args: ``weights``, ``config``, ``device``, ``calibration``, ``threshold``, ``batch_size``, ``json``
            (lines for machines on stdout), ``overlays``, and ``out`` (a folder, None for no files, ``-`` for
            one mask as PNG on stdout).
        files: Names the files in the folder, if there is one.
    """

    def __init__(self, args: argparse.Namespace, files: PhotoFiles | None) -> None:
        self.args = args
        self.files = files
        self.predictor: Predictor = load(args.weights, args.config, args.device, args.calibration)
        self.predictor.tells_unknown_words = False  # the run does at its end, with their share
        self.coco = CocoWriter()
        self.folder = files.folder if files else None
        self.images: dict[str, np.ndarray] = {}
        self.unread = 0
        self.written = self.replaced = False
        self.rows = self.hits = 0

    def __call__(self, wanted: list[Wanted]) -> int:
        """Predict and write; returns the exit code: 2 if a photo could not be read.

        Raises:
            UserInputError: If none could.
        """
        start = time.perf_counter()
        watched = len(wanted) > 1 and sys.stderr.isatty()
        with progress_bar() if watched else contextlib.nullcontext() as bar:
            task = bar.add_task('photos', total=len(wanted)) if watched else None
            asked = self._asked(wanted)
            threshold = self.args.threshold
            if threshold is None:
                threshold = 0.0 if self.predictor.refers else DETECTED
            try:
                for found in self.predictor.stream(asked, threshold, self.args.batch_size):
                    self._take(found, self.images.pop(found.file_name))
                    if watched:
                        bar.advance(task)
            finally:
                self._write_coco()
        if self.unread == len(wanted):
            found = f'none of {len(wanted)} that can be read'
            raise UserInputError.of(
                'photos', found, 'at least one', 'mend what was passed over, or name others'
            )
        self._sum_up(len(wanted), time.perf_counter() - start)
        return 2 if self.unread else 0

    @property
    def done(self) -> int:
        """Number of photos that are predicted and written."""
        return len(self.coco.images)

    def _write_coco(self) -> None:
        """The file of all photos; where none could be read, an earlier file stays as it is."""
        if self.folder is None or not self.coco.images:
            return
        make_folder(self.folder)
        self.replaced = self.files.path.is_file()
        dump_json({**self.coco.content(), 'files': self.files.owners()}, self.files.path)
        self.written = True

    def _asked(self, wanted: list[Wanted]) -> Iterator[Asked]:
        """The photos that can be read; the others are told and passed over."""
        for photo, sentences in wanted:
            try:
                image = self._read(photo)
            except UserInputError as error:
                print(f'passed over: {error}', file=sys.stderr)
                self.unread += 1
                continue
            self.images[photo] = np.ascontiguousarray(image[..., ::-1])
            yield Asked(self.images[photo], sentences, photo)

    def _read(self, photo: str) -> np.ndarray:
        if photo == STDIN:
            return decode_image(sys.stdin.buffer.read(), 'standard input')
        return self.predictor.infer.read(photo)

    def _take(self, found: Prediction, image: np.ndarray) -> None:
        """Write and tell what one photo has; of a detector's objects only those that are found."""
        found = found if self.predictor.refers else found.rows(np.flatnonzero(found.found))
        files = [self._write(found, row, image) for row in range(len(found))]
        if not self.predictor.refers and self.folder is not None:
            if self.args.overlays:
                self._draw_objects(found, image, files)
            self._remove_left(found, image)
        self.coco.add(found, files)
        for row, written in enumerate(files):
            self.rows += 1
            self.hits += bool(found.found[row])
            line = self._line(found, row, written)
            text = json.dumps(line, ensure_ascii=False) if self.args.json else self._words(line)
            if self.args.out == STDIN:
                print(text, file=sys.stderr)
                continue
            with names_output():
                print(text, flush=self.args.json)

    def _write(self, found: Prediction, row: int, image: np.ndarray) -> dict[str, str]:
        """The files of one sentence; their names from the folder of the run."""
        mask = found.masks[row] if found.masks is not None and found.found[row] else None
        if self.args.out == STDIN:
            whole = np.zeros(found.size, bool) if mask is None else mask
            with names_output():
                sys.stdout.buffer.write(_encoded(whole.astype(np.uint8) * 255, 'PNG'))
        if self.folder is None:
            return {}
        name = self._name(found, image, found.labels[row])
        files = {'mask': f'masks/{name}.png', 'overlay': f'overlays/{name}.jpg'}
        content = dict.fromkeys(files)
        if mask is not None:
            content['mask'] = _encoded(mask.astype(np.uint8) * 255, 'PNG')
        if self.args.overlays and self.predictor.refers:
            box = found.boxes[row] if found.found[row] else None
            content['overlay'] = _encoded(draw_referent(image, self._title(found, row), mask, box), 'JPEG')
        for kind, file in files.items():
            _write(content[kind], self.folder / file)
        return {kind: file for kind, file in files.items() if content[kind] is not None}

    def _draw_objects(self, found: Prediction, image: np.ndarray, files: list[dict[str, str]]) -> None:
        """One overlay with all objects of a photo."""
        name = f'overlays/{self._name(found, image)}.jpg'
        texts = [f'{label} {score:.0%}' for label, score in zip(found.labels, found.scores, strict=True)]
        _write(_encoded(draw_instances(image, found.boxes, texts, found.masks), 'JPEG'), self.folder / name)
        for each in files:
            each['overlay'] = name

    def _remove_left(self, found: Prediction, image: np.ndarray) -> None:
        """Remove what an earlier run has of objects of a photo that a detector does not find now."""
        for name in self.files.left(
            found.file_name, [*self.predictor.infer.classes, None], _digest(found, image)
        ):
            for file in (f'masks/{name}.png', f'overlays/{name}.jpg'):
                _write(None, self.folder / file)

    def _title(self, found: Prediction, row: int) -> str:
        what = f'{found.scores[row]:.2f}'
        return f'{found.labels[row]}   {what}' if found.found[row] else f'{found.labels[row]}   nothing found'

    def _name(self, found: Prediction, image: np.ndarray, label: str | None = None) -> str:
        """Of the files of one sentence, or of all objects of a photo."""
        return self.files.name(found.file_name, label, _digest(found, image))

    def _line(self, found: Prediction, row: int, files: dict[str, str]) -> dict[str, Any]:
        x1, y1, x2, y2 = (round(value, 2) for value in found.boxes[row].tolist())
        line = {
            'photo': found.file_name,
            'sentence': found.labels[row],
            'found': bool(found.found[row]),
            'score': round(float(found.scores[row]), 4),
            'box': [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
            'size': list(found.size),
        }
        line |= {key: str(self.folder / name) for key, name in files.items()}
        if self.folder is None and found.masks is not None and found.found[row]:
            line['segmentation'] = encode_mask(found.masks[row])
        return line

    def _words(self, line: dict[str, Any]) -> str:
        about = f'{printable(line["photo"])}  "{printable(line["sentence"])}"  {line["score"]:.2f}'
        place = printable(line['mask']) if 'mask' in line else f'box {line["box"]}'
        return f'{about}  {place}' if line['found'] else f'{about}  nothing found'

    def _sum_up(self, photos: int, seconds: float) -> None:
        unknown = self.predictor.unknown_words()
        if unknown:
            print(f'words: {unknown}', file=sys.stderr)
        cut = self.predictor.cut_sentences()
        if cut:
            print(cut, file=sys.stderr)
        path = printable(str(self.files.path)) if self.written else ''
        if self.replaced and not self.args.json:
            print(f'replaced {path} of an earlier run', file=sys.stderr)
        where = f'; {path}' if path else ''
        kind = 'sentences' if self.predictor.refers else 'objects'
        kind = f'{kind} found in {photos - self.unread} photos in {seconds:.1f} s'
        print(
            f'{self.hits} of {self.rows} {kind}; score: {self.predictor.score_means}{where}',
            file=sys.stderr,
        )


def _digest(found: Prediction, image: np.ndarray) -> str:
    """What tells photos through standard input apart; '' of others."""
    return hashlib.sha256(image.tobytes()).hexdigest() if found.file_name == STDIN else ''


def _encoded(pixels: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **({'quality': 92} if kind == 'JPEG' else {}))
    return file.getvalue()


def _write(content: bytes | None, path: Path) -> None:
    """Write a file; None removes the one of an earlier run."""
    if content is None:
        if os.path.isfile(path):
            path.unlink()
        return
    make_folder(path.parent)
    with atomic_write(path, 'wb') as file:
        file.write(content)
