"""A failure study: cases in, files out."""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.functional.summary import summarise_masks
from ..utils import atomic_write, csv_cell, dump_json
from . import groups
from .cases import Case
from .groups import Grouping, all_groupings
from .plots import plot_cumulative, plot_density, plot_grouping

COLUMNS = (
    'index', 'ref_id', 'sent_id', 'image_id', 'iou', 'intersection', 'union', 'area', 'area_share',
    'predicted_area', 'category_id', 'same_category', 'words', 'position_words', 'attribute_words', 'kind',
    'outcome', 'score', 'expressions',
)  # fmt: skip


@dataclass
class FailureStudy:
    """What fails, how, and on what.

    Attributes:
        cases: All cases, at least one.
        threshold: A case fails below this IoU.
        low: Failures below this IoU are the low group (they hardly touch the object).
        high: Failures above it are the high group (they just fail).
        categories: Names of ``category_id``.
        about: What the study is of, for its reports (files, split, protocol, frame).
    """

    cases: Sequence[Case]
    threshold: float = 0.5
    low: float = 0.1
    high: float = 0.4
    categories: Mapping[int, str] | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.cases:
            raise ValueError('a study needs at least one case')
        self.failures = groups.failures(self.cases, self.threshold)
        self.low_group = groups.low_group(self.cases, self.threshold, self.low)
        self.high_group = groups.high_group(self.cases, self.threshold, self.high)
        self.groupings: list[Grouping] = all_groupings(self.cases, self.threshold, self.categories)

    @property
    def numbers(self) -> dict[str, float]:
        """``oiou``, ``miou``, ``p50`` ... of all cases, and ``precision`` at the threshold; percent."""
        summary = summarise_masks(
            np.array([case.intersection for case in self.cases]),
            np.array([case.union for case in self.cases]),
        )
        return {**summary, 'precision': 100.0 * (1.0 - len(self.failures) / len(self.cases))}

    def summary(self) -> dict[str, Any]:
        """Everything but the cases, for json."""
        return {
            **self.about,
            **self.numbers,
            'threshold': self.threshold,
            'num_cases': len(self.cases),
            'num_failures': len(self.failures),
            'low_group': {'below': self.low, **_members(self.low_group)},
            'high_group': {'above': self.high, **_members(self.high_group)},
            'groups': {grouping.name: grouping.as_dict() for grouping in self.groupings},
        }

    def log_lines(self) -> list[str]:
        """One line per failure, ``[index/N] IoU, mean IoU so far`` (percent), and the mean IoU at the end."""
        lines, total = [], 0.0
        for number, case in enumerate(self.cases, 1):
            total += case.iou
            if case.iou < self.threshold:
                lines.append(
                    f'[{case.index}/{len(self.cases)}] IoU {100 * case.iou:.3f}, '
                    f'mIoU so far {100 * total / number:.3f}: {" | ".join(case.expressions)}'
                )
        return [*lines, f'mIoU {100 * math.fsum(case.iou for case in self.cases) / len(self.cases):.3f}']

    def plots(self) -> dict[str, bytes]:
        """PNG files by name: densities, the cumulative curve, one per grouping."""
        ious = [case.iou for case in self.cases]
        made = {'all_density': plot_density(ious, 'IoU of all cases', self.threshold)}
        if self.failures:
            made['failure_density'] = plot_density(
                [case.iou for case in self.failures], f'IoU of the failures (below {self.threshold:g})'
            )
        made['cumulative'] = plot_cumulative(ious)
        for grouping in self.groupings:
            made[f'by_{grouping.name}'] = plot_grouping(grouping, self.numbers['miou'])
        return made

    def write(self, folder: Path) -> dict[str, bytes]:
        """Write tables, lists and plots into a folder.

        Args:
            folder: Made if it is missing. It gets ``summary.json``, ``cases.csv``, ``failures.csv``,
                ``failures.log``, ``plots/*.png`` and the text files of LAVT-pytorch's notebook: ``id.txt``
                (positions of the failures), ``IoU.txt`` (their IoUs) and ``all_IoU.txt`` (all IoUs).

        Returns:
            The plots.
        """
        dump_json(self.summary(), folder / 'summary.json', indent=2)
        _write_csv(self.cases, folder / 'cases.csv')
        _write_csv(self.failures, folder / 'failures.csv')
        _write_lines(self.log_lines(), folder / 'failures.log')
        _write_lines([str(case.index) for case in self.failures], folder / 'id.txt')
        _write_lines([f'{case.iou:.5f}' for case in self.failures], folder / 'IoU.txt')
        _write_lines([f'{case.iou:.5f}' for case in self.cases], folder / 'all_IoU.txt')
        plots = self.plots()
        for name, content in plots.items():
            with atomic_write(folder / 'plots' / f'{name}.png', 'wb') as file:
                file.write(content)
        return plots

    def chosen(self, count: int, seed: int) -> dict[str, list[Case]]:
        """The cases to look at, by the title of their section.

        Args:
            count: Of cases in each section.
            seed: Of the random ones.
        """
        sections = {
            'The worst': groups.worst(self.cases, count),
            'Around the median': groups.median(self.cases, count),
            f'At random: IoU below {self.low:g}': groups.draw(self.low_group, count, seed),
            f'At random: IoU above {self.high:g}, and failed': groups.draw(self.high_group, count, seed),
        }
        return {title: members for title, members in sections.items() if members}

    def draw(
        self, count: int, seed: int, paint: Callable[[list[Case]], list[bytes]]
    ) -> list[tuple[str, list[tuple[Case, bytes]]]]:
        """The chosen cases with their images, section by section.

        Args:
            count: Of cases in each section.
            seed: Of the random ones.
            paint: Draws cases; see :func:`mmrefseg.analysis.page.draw_cases`.
        """
        return [
            (title, list(zip(members, paint(members), strict=True)))
            for title, members in self.chosen(count, seed).items()
        ]


def _members(cases: Sequence[Case]) -> dict[str, list]:
    return {'index': [case.index for case in cases], 'iou': [case.iou for case in cases]}


def _write_csv(cases: Sequence[Case], path: Path) -> None:
    with atomic_write(path) as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for case in cases:
            writer.writerow([_cell(getattr(case, name)) for name in COLUMNS])


def _cell(value: Any) -> Any:
    return csv_cell(' | '.join(value) if isinstance(value, tuple) else value)


def _write_lines(lines: Sequence[str], path: Path) -> None:
    with atomic_write(path) as file:
        file.write(''.join(f'{line}\n' for line in lines))
