"""Keeping the test pictures of one data set out of the training set of another."""

from collections.abc import Iterable

from ..utils import UserInputError
from .annotations import load_annotation_file


class ImageExclusion:
    """The pictures of other annotation files' test splits.

    RefCOCOg (umd) takes its val and test pictures from the same COCO pictures as RefCOCO's training set,
    and the other way round: whoever trains on a mix must leave them out.

    Args:
        sources: Annotation files, or dicts ``{'ann_file': path, 'splits': names, 'data_source': name}``.
            ``splits`` defaults to every split but those called ``train``. Picture numbers are compared
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
        """Whether the record's picture is one of those."""
        sources = self._sources_of.get(record['image_id'])
        if sources is None:
            return False
        own = record.get('data_source')
        return own is None or None in sources or own in sources
