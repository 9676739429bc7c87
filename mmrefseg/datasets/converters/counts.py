"""The published sizes of the RefCOCO family: the only way to verify files that never had a checksum."""

from typing import NamedTuple

from ...utils import UserInputError
from .conversion import count_objects


class Size(NamedTuple):
    """Number of referred objects, pictures and sentences of a split."""

    refs: int
    images: int
    sentences: int


# Counted in the official files; images and sentences as in the papers of UNC, UMD and Google.
PUBLISHED: dict[str, dict[str, Size]] = {
    'refcoco-unc': {
        'train': Size(42404, 16994, 120624),
        'val': Size(3811, 1500, 10834),
        'testA': Size(1975, 750, 5657),
        'testB': Size(1810, 750, 5095),
    },
    'refcocoplus-unc': {
        'train': Size(42278, 16992, 120191),
        'val': Size(3805, 1500, 10758),
        'testA': Size(1975, 750, 5726),
        'testB': Size(1798, 750, 4889),
    },
    'refcocog-umd': {
        'train': Size(42226, 21899, 80512),
        'val': Size(2573, 1300, 4896),
        'test': Size(5023, 2600, 9602),
    },
    'refcocog-google': {'train': Size(44822, 24698, 85474), 'val': Size(5000, 4650, 9536)},
}


class Comparison(NamedTuple):
    """One number of a split, as published and as found."""

    split: str
    quantity: str
    expected: int
    found: int

    @property
    def equal(self) -> bool:
        """Whether the file has as many as were published."""
        return self.expected == self.found


def compare_counts(
    splits: dict[str, list[dict]], dataset: str, only: list[str] | None = None
) -> list[Comparison]:
    """Compare normalized records with the published sizes.

    Args:
        splits: Records by split. Splits that were never published are not looked at.
        dataset: A key of :data:`PUBLISHED`.
        only: The splits to compare; all published ones by default, a missing one counting as 0.

    Raises:
        UserInputError: If the data set or a split is not in the table.
    """
    if dataset not in PUBLISHED:
        raise UserInputError.of('dataset', repr(dataset), f'one of {sorted(PUBLISHED)}', 'choose one of them')
    published = PUBLISHED[dataset]
    for split in only or ():
        if split not in published:
            raise UserInputError.of(
                dataset, f'split {split!r}', f'one of {list(published)}', 'choose one of them'
            )
    counts = count_objects(splits)
    return [
        Comparison(split, quantity, expected, counts[split][quantity] if split in counts else 0)
        for split, size in published.items()
        if not only or split in only
        for quantity, expected in size._asdict().items()
    ]


def format_comparison(rows: list[Comparison]) -> str:
    """A table for people: one line a number, the differing ones marked."""
    lines = [f'{"split":<8}{"":<11}{"published":>10}{"found":>10}']
    for row in rows:
        mark = '' if row.equal else f'  differs by {row.found - row.expected:+d}'
        lines.append(f'{row.split:<8}{row.quantity:<11}{row.expected:>10}{row.found:>10}{mark}')
    return '\n'.join(lines)
