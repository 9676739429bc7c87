"""Cases in groups by what may explain their failure, and the cases of a group that are shown."""

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .cases import OUTCOMES, Case
from .words import ATTRIBUTE_WORDS, POSITION_WORDS, kinds_of


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


IOU_EDGES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
AREA_EDGES = (0.0, 0.01, 0.03, 0.1, 0.25, 1.0)
"""Shares of the image."""
LENGTHS = ((1, 1), (2, 2), (3, 3), (4, 5), (6, 8), (9, 12), (13, None))
"""Numbers of words, both ends included."""
MOST_OTHERS = 4
MANY = 40
"""At most so many categories and words are listed, those with the most cases."""


@dataclass(frozen=True, slots=True)
class Group:
    """Some cases and how they went.

    Attributes:
        label: What they have in common.
        count: How many cases.
        share: Of all cases, percent.
        miou: Mean IoU, percent.
        failures: How many fail.
        failure_rate: Percent of the group's cases that fail.
        error: Half width of the 95 % interval of ``miou`` (normal approximation), percent; NaN for one case.
    """

    label: str
    count: int
    share: float
    miou: float
    failures: int
    failure_rate: float
    error: float


@dataclass(frozen=True, slots=True)
class Grouping:
    """One way to part the cases.

    Attributes:
        name: For files and keys.
        title: For people.
        groups: In the order to show.
        overlapping: Whether a case can be in several groups (as with words).
    """

    name: str
    title: str
    groups: tuple[Group, ...]
    overlapping: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For json; NaN becomes None."""
        rows = [asdict(group) for group in self.groups]
        for row in rows:
            row['error'] = None if math.isnan(row['error']) else row['error']
        return {'title': self.title, 'overlapping': self.overlapping, 'groups': rows}


def describe(label: str, members: Sequence[Case], total: int, threshold: float) -> Group:
    """The numbers of a group of at least one case."""
    ious = [case.iou for case in members]
    count = len(ious)
    mean = math.fsum(ious) / count
    variance = math.fsum((iou - mean) ** 2 for iou in ious) / (count - 1) if count > 1 else math.nan
    failures = sum(iou < threshold for iou in ious)
    return Group(
        label,
        count,
        100.0 * count / total,
        100.0 * mean,
        failures,
        100.0 * failures / count,
        100.0 * 1.96 * math.sqrt(variance / count),
    )


def all_groupings(
    cases: Sequence[Case], threshold: float = 0.5, categories: Mapping[int, str] | None = None
) -> list[Grouping]:
    """Every grouping of the study; groups without a case are left out, groupings without a group too.

    Args:
        cases: All cases.
        threshold: A case fails below this IoU.
        categories: Names of ``category_id``.
    """
    names = categories or {}
    build = _Builder(cases, threshold)
    found = [
        build.by('iou', 'IoU', _iou_label, interval_labels(IOU_EDGES)),
        build.by('outcome', 'what was predicted', lambda case: case.outcome, OUTCOMES),
        build.by('length', 'number of words', _length_label, [_length(a, b) for a, b in LENGTHS]),
        build.by('position', 'words of place', _has('position_words', 'a word of place')),
        build.by_many('position_kind', 'kind of place', _kinds('position_words', POSITION_WORDS)),
        build.by_many('position_word', 'word of place', lambda case: case.position_words),
        build.by('attribute', 'words of looks', _has('attribute_words', 'a word of looks')),
        build.by_many('attribute_kind', 'kind of looks', _kinds('attribute_words', ATTRIBUTE_WORDS)),
        build.by_many('attribute_word', 'word of looks', lambda case: case.attribute_words),
        build.by('kind', 'kind of expression', lambda case: case.kind),
        build.by('category', 'category', lambda case: str(names.get(case.category_id, case.category_id))),
        build.by('area', 'share of the image', _area_label, interval_labels(AREA_EDGES, percent=True)),
        build.by(
            'same_category', 'other objects of the same category', _others_label,
            [*map(str, range(MOST_OTHERS)), f'{MOST_OTHERS} or more'],
        ),
    ]  # fmt: skip
    return [grouping for grouping in found if grouping.groups]


class _Builder:
    def __init__(self, cases: Sequence[Case], threshold: float) -> None:
        self.cases = cases
        self.threshold = threshold

    def by(
        self,
        name: str,
        title: str,
        label_of: Callable[[Case], str | None],
        order: Sequence[str] | None = None,
    ) -> Grouping:
        """Each case in one group, or in none where ``label_of`` returns None."""
        groups = self._groups(lambda case: [label_of(case)], order)
        return Grouping(name, title, groups)

    def by_many(self, name: str, title: str, labels_of: Callable[[Case], Iterable[str]]) -> Grouping:
        """Each case in any number of groups."""
        return Grouping(name, title, self._groups(labels_of, None), overlapping=True)

    def _groups(
        self, labels_of: Callable[[Case], Iterable[str | None]], order: Sequence[str] | None
    ) -> tuple[Group, ...]:
        members: dict[str, list[Case]] = {}
        for case in self.cases:
            for label in labels_of(case):
                if label is not None:
                    members.setdefault(label, []).append(case)
        if order is None:
            counts = Counter({label: len(some) for label, some in members.items()})
            order = [label for label, _ in counts.most_common(MANY)]
        total = len(self.cases)
        return tuple(
            describe(label, members[label], total, self.threshold) for label in order if label in members
        )


def interval_labels(edges: Sequence[float], percent: bool = False) -> list[str]:
    """Names of the intervals between ``edges``; all but the last leave out their upper end."""
    shown = [f'{100 * edge:g}' if percent else f'{edge:g}' for edge in edges]
    unit = ' %' if percent else ''
    return [f'{low} - {high}{unit}' for low, high in itertools.pairwise(shown)]


def interval_of(value: float, edges: Sequence[float]) -> int:
    """The number of the interval between ``edges`` that holds ``value``."""
    return max(sum(value >= edge for edge in edges[:-1]) - 1, 0)


def _iou_label(case: Case) -> str:
    return interval_labels(IOU_EDGES)[interval_of(case.iou, IOU_EDGES)]


def _area_label(case: Case) -> str:
    return interval_labels(AREA_EDGES, percent=True)[interval_of(case.area_share, AREA_EDGES)]


def _others_label(case: Case) -> str:
    return str(case.same_category) if case.same_category < MOST_OTHERS else f'{MOST_OTHERS} or more'


def _length(first: int, last: int | None) -> str:
    if last is None:
        return f'{first} or more'
    return str(first) if first == last else f'{first} - {last}'


def _length_label(case: Case) -> str | None:
    for first, last in LENGTHS:
        if case.words >= first and (last is None or case.words <= last):
            return _length(first, last)
    return None


def _has(field: str, what: str) -> Callable[[Case], str]:
    return lambda case: f'with {what}' if getattr(case, field) else 'without'


def _kinds(field: str, kinds: dict[str, tuple[str, ...]]) -> Callable[[Case], tuple[str, ...]]:
    return lambda case: kinds_of(getattr(case, field), kinds)
