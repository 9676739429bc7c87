"""From records to samples: which are left out, and which pairs share an image's pass through the network."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from ..utils import UserInputError
from .annotations import load_annotation_file

GROUP_BY = ('object', 'expression', 'image')

# (position of the record, position of the expression or None for "drawn later")
Pair = tuple[int, int | None]


def group_pairs(
    image_keys: list[Any], counts: list[int], group_by: str, test_mode: bool, max_pairs: int | None = None
) -> Iterator[list[Pair]]:
    """The pairs of each sample, in the order of the records (images in order of first appearance).

    Args:
        image_keys: What tells the images of the records apart, one per record.
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


class ImageExclusion:
    """The images of other annotation files' test splits.

    RefCOCOg (umd) takes its val and test images from the same COCO images as RefCOCO's training set,
    and the other way round: whoever trains on a mix must leave them out.

    Args:
        sources: Annotation files, or dicts ``{'ann_file': path, 'splits': names, 'data_source': name}``.
            ``splits`` defaults to every split but those called ``train``. Image numbers are compared
            only within one ``data_source``, where both sides have one.
    """

    def __init__(self, sources: Iterable[str | dict]) -> None:
        self._sources_of: dict[int | str, set[str | None]] = {}
        for source in sources:
            self._add(**({'ann_file': source} if isinstance(source, str) else source))

    def _add(
        self, ann_file: str, splits: Iterable[str] | None = None, data_source: str | None = None
    ) -> None:
        loaded = load_annotation_file(ann_file)
        names = [name for name in loaded if name != 'train'] if splits is None else list(splits)
        for name in names:
            if name not in loaded:
                raise UserInputError.of(
                    ann_file, f'no split {name!r}', f'one of {sorted(loaded)}', 'mend exclude_images_of'
                )
            for record in loaded[name]:
                source = record.get('data_source', data_source)
                self._sources_of.setdefault(record['image_id'], set()).add(source)

    def __contains__(self, record: dict) -> bool:
        """Whether the record's image is one of those."""
        sources = self._sources_of.get(record['image_id'])
        if sources is None:
            return False
        own = record.get('data_source')
        return own is None or None in sources or own in sources
