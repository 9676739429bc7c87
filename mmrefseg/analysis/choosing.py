"""Which cases are looked at: the worst, the median ones, the two groups of failures, random ones."""

import random
from collections.abc import Sequence

from .cases import Case


def worst(cases: Sequence[Case], count: int) -> list[Case]:
    """The cases of lowest IoU; of equals, those whose object is larger: they cost more overall IoU."""
    return sorted(cases, key=lambda case: (case.iou, -case.area, case.index))[:count]


def median(cases: Sequence[Case], count: int) -> list[Case]:
    """The ``count`` cases around the median IoU, in rising order."""
    ordered = sorted(cases, key=lambda case: (case.iou, case.index))
    start = max((len(ordered) - count) // 2, 0)
    return ordered[start : start + count]


def failures(cases: Sequence[Case], threshold: float) -> list[Case]:
    """The cases below a threshold, in their order."""
    return [case for case in cases if case.iou < threshold]


def low_group(cases: Sequence[Case], threshold: float, low: float) -> list[Case]:
    """Failures that hardly touch the object: IoU below ``low``."""
    return [case for case in failures(cases, threshold) if case.iou < low]


def high_group(cases: Sequence[Case], threshold: float, high: float) -> list[Case]:
    """Failures that just fail: IoU above ``high``."""
    return [case for case in failures(cases, threshold) if case.iou > high]


def draw(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """``count`` cases at random, the same for the same seed, in their order."""
    chosen = random.Random(seed).sample(list(cases), min(count, len(cases)))
    return sorted(chosen, key=lambda case: case.index)
