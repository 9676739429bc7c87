"""From objects to samples: which (object, expression) pairs share a picture's pass through the network."""

import itertools
from collections.abc import Iterator
from typing import Any

GROUP_BY = ('object', 'expression', 'image')

# (position of the record, position of the expression or None for "drawn later")
Pair = tuple[int, int | None]


def group_pairs(
    image_keys: list[Any], counts: list[int], group_by: str, test_mode: bool, max_pairs: int | None = None
) -> Iterator[list[Pair]]:
    """The pairs of each sample, in the order of the records (pictures in order of first appearance).

    Args:
        image_keys: What tells the pictures of the records apart, one per record.
        counts: Number of expressions of each record.
        group_by: ``'object'``, ``'expression'`` or ``'image'``.
        test_mode: Whether every expression is a pair of its own. In training only ``'expression'`` does so;
            otherwise an object is one pair, whose expression is drawn later.
        max_pairs: The most pairs in a sample; a larger group is split into samples of nearly equal size.

    Yields:
        One list of pairs per sample.
    """
    every = test_mode or group_by == 'expression'
    groups: dict[Any, list[Pair]] = {}
    for record, (image, count) in enumerate(zip(image_keys, counts, strict=True)):
        for expression in range(count) if every else (None,):
            key = {'image': image, 'object': record, 'expression': (record, expression)}[group_by]
            groups.setdefault(key, []).append((record, expression))
    for pairs in groups.values():
        chunks = 1 if max_pairs is None else -(-len(pairs) // max_pairs)
        bounds = [len(pairs) * chunk // chunks for chunk in range(chunks + 1)]
        for start, end in itertools.pairwise(bounds):
            yield pairs[start:end]
