"""Calibrations as files: ``{"scores": [0, ..., 1], "ious": [...], "about": {...}}``."""

import os
from typing import Any

import numpy as np

from ..utils import UserInputError, dump_json, load_json
from ..utils.errors import short
from .functional.scores import Calibration

LAYOUT = '{"scores": [0, ..., 1], "ious": [...]}, both rising'
TODO = 'write it with tools/analysis_tools/calibrate_scores.py --fit'


def write_calibration(calibration: Calibration, about: dict[str, Any], path: str | os.PathLike) -> None:
    """Write a calibration, and what it was fitted on."""
    dump_json({'scores': calibration.scores, 'ious': calibration.ious, 'about': about}, path, indent=2)


def load_calibration(path: str | os.PathLike) -> Calibration:
    """Read a calibration.

    Raises:
        UserInputError: If the file is missing, or holds no rising map of [0, 1] to [0, 1].
    """
    content = load_json(path)
    lists = [content.get(key) if isinstance(content, dict) else None for key in ('scores', 'ious')]
    if not all(isinstance(values, list) and all(map(_is_number, values)) for values in lists):
        raise UserInputError.of(str(path), short(content), LAYOUT, TODO)
    calibration = Calibration(*map(tuple, lists))
    if calibration.problem:
        raise UserInputError.of(str(path), calibration.problem, LAYOUT, TODO)
    return calibration


def calibrate_records(records: list[dict], calibration: Calibration, where: str) -> list[dict]:
    """Predictions with calibrated scores, otherwise as they are.

    Raises:
        UserInputError: If one has no score, or one that is no number from 0 to 1.
    """
    scores = calibration(read_scores(records, where))
    return [{**record, 'score': float(score)} for record, score in zip(records, scores, strict=True)]


def read_scores(records: list[dict], where: str) -> np.ndarray:
    """Scores (N,) of the records of a prediction file.

    Raises:
        UserInputError: If one has no score, or one that is no number from 0 to 1.
    """
    for record in records:
        score = record.get('score')
        if not _is_number(score) or not 0 <= score <= 1:
            name = f'{where}, ref_id {record.get("ref_id")}, sent_id {record.get("sent_id")}'
            found = 'no score' if score is None else f'score {short(score)}'
            raise UserInputError.of(name, found, 'a number from 0 to 1', 'predict again')
    return np.array([record['score'] for record in records], np.float64)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
