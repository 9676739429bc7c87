"""From what labelling tools save, shapes with labels and attributes, to objects with expressions.

Such a file knows shapes, and which of them belong together. A record of the working format is an object with
its expressions. Between the two stand three questions, which are answered here for all formats alike: what
the sentences are, what becomes of an object without one, and which split an image is in.
"""

import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...structures.boxes import box_union
from ...structures.masks import Mask, bounds, mask_problem, union
from ...structures.polygons import has_three_points
from ...utils import UserInputError
from ...utils.errors import short
from ..validation import box_problem, is_whole, size_problem
from .conversion import Conversion

# Names of attributes that hold sentences, the first that an object has counts. `expression_2`, `expression 3`
# are more sentences of the same.
TEXT_FIELDS = (
    'expressions',
    'expression',
    'referring_expressions',
    'referring_expression',
    'sentences',
    'sentence',
    'captions',
    'caption',
    'description',
    'phrase',
    'text',
)
# Names of folders that are splits.
SPLITS = ('train', 'val', 'test', 'testA', 'testB')
WITHOUT_SENTENCE = ('label', 'skip', 'refuse')
_NUMBERED = re.compile(r'[ _-]?\d+$')


@dataclass(frozen=True)
class ImportOptions:
    """What a reader of a labelling tool's format is told.

    Attributes:
        text_field: The attribute whose text is the expression; ``'label'`` for the label itself. By default
            the first of :data:`TEXT_FIELDS` that an object has.
        without_sentence: What becomes of an object that has none: its ``'label'`` is its expression, it is
            left out (``'skip'``), or it is an error (``'refuse'``).
        split: The split of images of which the format tells none.
        val: Percentage of the images of :attr:`split` that become the split ``val``; drawn by their names, so
            that an image stays where it is when others are added.
        skip_bad: Count and list bad objects instead of stopping at the first.
        mend: Drop the parts of a mask that have fewer than 3 points where other parts remain.
    """

    text_field: str | None = None
    without_sentence: str = 'label'
    split: str = 'train'
    val: float = 0.0
    skip_bad: bool = False
    mend: bool = False

    def __post_init__(self) -> None:
        if self.without_sentence not in WITHOUT_SENTENCE:
            raise UserInputError.of(
                '--without-sentence', repr(self.without_sentence), f'one of {WITHOUT_SENTENCE}', 'choose one'
            )
        if not 0 <= self.val < 100:
            raise UserInputError.of(
                '--val', f'{self.val:g}', 'a percentage from 0 to below 100', 'choose one'
            )
        if not self.split.strip():
            raise UserInputError.of('--split', 'an empty name', 'a name such as train', 'choose one')


@dataclass
class Region:
    """One shape of an image.

    Attributes:
        file_name: Of the image, below the folder of the images.
        size: (height, width) of the image, in pixels.
        where: File and shape, for messages.
        label: The class, or what the tool calls so.
        mask: Polygons or run lengths, if it has an area that is known.
        box: [x, y, width, height] in pixels, if that is drawn.
        sentences: What refers to it.
        group: What the shapes of one object have in common; None for an object of its own.
        split: Of the image, where the format tells.
        ref_id: The object's number, where the file has kept it.
        image_id: The image's number or name, where the file has one.
        category_id: The class's number, where the file has one.
        extra: Further keys of the record.
    """

    file_name: str
    size: tuple[int, int]
    where: str
    label: str | None = None
    mask: Mask | None = None
    box: list[float] | None = None
    sentences: list[str] = field(default_factory=list)
    group: Any = None
    split: str | None = None
    ref_id: int | None = None
    image_id: int | str | None = None
    category_id: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)


class RegionCollector:
    """Collects the regions of a file and makes records of them.

    Args:
        options: See :class:`ImportOptions`.
    """

    def __init__(self, options: ImportOptions) -> None:
        self.options = options
        self.conversion = Conversion(options.skip_bad, options.mend)
        self._regions: list[list[Region]] = []
        self._groups: dict[tuple, list[Region]] = {}
        self._left_out: Counter[str] = Counter()

    def add(self, region: Region) -> None:
        """Take a region; one of a group joins the others of its group, image and label."""
        if region.group is not None:
            key = (region.split, region.file_name, region.label, region.group)
            if key in self._groups:
                self._groups[key].append(region)
                return
            self._groups[key] = [region]
            self._regions.append(self._groups[key])
        else:
            self._regions.append([region])

    def skip(self, error: UserInputError) -> None:
        """Note an error, or raise it: :meth:`Conversion.skip`."""
        self.conversion.skip(error)

    def leave_out(self, what: str) -> None:
        """Count a thing that has no place in the working format; it is said at the end."""
        self._left_out[what] += 1

    def finish(self, where: str) -> Conversion:
        """The records, numbered and checked.

        Raises:
            UserInputError: If one is bad (without ``skip_bad``), or nothing is left.
        """
        image_ids = self._image_ids()
        category_ids = self._category_ids()
        named, taken = 0, set()
        for parts in self._regions:
            first = parts[0]
            try:
                record = self._record(parts)
                named += self._give_sentences(record, parts)
            except UserInputError as error:
                self.skip(error)
                continue
            if not record['expressions']:
                self.leave_out('object without a sentence')
                continue
            record['image_id'] = image_ids[first.file_name]
            record['category_id'] = _first(parts, 'category_id')
            if record['category_id'] is None:
                record['category_id'] = category_ids.get(first.label, 0)
            split = self._split(first)
            if (split, record.get('ref_id')) in taken:
                del record['ref_id']  # a copy that somebody has made in the tool: another object
            taken.add((split, record.get('ref_id', 'new')))
            self.conversion.add(split, record, first.where)
        conversion = self.conversion.finish(where)
        order = (*SPLITS, *conversion.splits)
        conversion.splits = dict(sorted(conversion.splits.items(), key=lambda each: order.index(each[0])))
        conversion.remarks = [*self._remarks(where, named), *conversion.remarks]
        return conversion

    def _record(self, parts: list[Region]) -> dict[str, Any]:
        first = parts[0]
        height, width = first.size
        record: dict[str, Any] = {'image_id': None, 'file_name': first.file_name}
        record.update(height=height, width=width)
        problem = size_problem(record)
        if problem:
            raise UserInputError.of(first.where, *problem)
        masks = [self._checked_mask(part) for part in parts if part.mask is not None]
        masks = [mask for mask in masks if mask]
        boxes = [part.box for part in parts if part.box is not None]
        for part in parts:
            problem = None if part.box is None else box_problem(part.box, height, width)
            if problem:
                raise UserInputError.of(part.where, *problem)
        if masks:
            record['mask'] = union(masks, height, width)
            record['bbox'] = box_union(boxes) if boxes else bounds(record['mask'], height, width)
        else:
            record['bbox'] = box_union(boxes) if boxes else None
        record['expressions'] = list(dict.fromkeys(text for part in parts for text in part.sentences))
        record['category_id'] = 0
        ref_id = _first(parts, 'ref_id')
        if ref_id is not None:
            record['ref_id'] = ref_id
        if first.label:
            record['category'] = first.label
        for part in parts:
            record.update(part.extra)
        return record

    def _checked_mask(self, part: Region) -> Mask:
        """The part's mask, sound; with ``mend`` without polygons of fewer than 3 points."""
        mask = part.mask
        if self.options.mend and isinstance(mask, list):
            kept = [polygon for polygon in mask if has_three_points(polygon)]
            self.conversion.mended += len(mask) - len(kept)
            mask = kept
            if not mask:
                return mask
        problem = mask_problem(mask, *part.size)
        if problem:
            raise UserInputError.of(part.where, *problem)
        return mask

    def _give_sentences(self, record: dict[str, Any], parts: list[Region]) -> bool:
        """Whether the record's label became its sentence, for want of one."""
        if record['expressions'] or self.options.without_sentence == 'skip':
            return False
        label = (parts[0].label or '').strip()
        if self.options.without_sentence == 'label' and label:
            record['expressions'] = [label]
            return True
        found = 'no sentence' if label else 'neither a sentence nor a label'
        raise UserInputError.of(
            parts[0].where,
            found,
            'a sentence that refers to the object',
            'write one, or leave the object out',
        )

    def _split(self, region: Region) -> str:
        if region.split is not None:
            return region.split
        share = zlib.crc32(region.file_name.encode('utf-8', 'backslashreplace')) % 10_000 / 100
        return 'val' if share < self.options.val else self.options.split

    def _image_ids(self) -> dict[str, int | str]:
        """The ids of the images by name: the file's own where each image has one, else numbers."""
        own: dict[str, int | str] = {}
        names = sorted({region.file_name for parts in self._regions for region in parts})
        for parts in self._regions:
            for region in parts:
                if region.image_id is not None:
                    own.setdefault(region.file_name, region.image_id)
        if len(own) == len(names) and len(set(own.values())) == len(names):
            return own
        return {name: number for number, name in enumerate(names)}

    def _category_ids(self) -> dict[str | None, int]:
        """Numbers from 1 for the labels, in the order of the alphabet."""
        labels = sorted({parts[0].label for parts in self._regions if parts[0].label})
        return {label: number for number, label in enumerate(labels, start=1)}

    def _remarks(self, where: str, named: int) -> list[str]:
        remarks = [f'{where}: {count} x {what} left out' for what, count in sorted(self._left_out.items())]
        if named:
            remarks.append(
                f'{where}: {named} objects have no sentence of their own; their label is their expression'
            )
        return remarks


def _first(parts: Sequence[Region], name: str) -> Any:
    return next((getattr(part, name) for part in parts if getattr(part, name) is not None), None)


def sentences_of(
    attributes: Mapping[str, Any], text_field: str | None, where: str, label: str | None = None
) -> list[str]:
    """The sentences among the attributes of a shape.

    Args:
        attributes: By name. A text holds one sentence a line; a list holds texts, or objects with ``sent``,
            ``raw`` or ``text``.
        text_field: The attribute to take, or None for the first of :data:`TEXT_FIELDS` that says something.
        where: File and shape, for messages.
        label: Of the shape; ``text_field='label'`` takes it.

    Raises:
        UserInputError: If the attribute is there and is no text.
    """
    if text_field == 'label':
        return lines_of(label, where) if label else []
    wanted = TEXT_FIELDS if text_field is None else (text_field.lower(),)
    by_name: dict[str, list[str]] = {}
    for name in attributes:
        if not isinstance(name, str):
            continue
        lower = name.lower()
        stem = lower if lower in wanted else _NUMBERED.sub('', lower)
        by_name.setdefault(stem.replace(' ', '_') if text_field is None else stem, []).append(name)
    for field_name in wanted:
        texts = [text for name in by_name.get(field_name, ()) for text in lines_of(attributes[name], where)]
        if texts:
            return list(dict.fromkeys(texts))
    return []


def lines_of(value: Any, where: str) -> list[str]:
    """The sentences of a text (one a line), of a list of texts, or of nothing.

    Raises:
        UserInputError: If it is something else.
    """
    if value is None:
        return []
    if isinstance(value, str):
        return [line.strip() for line in value.splitlines() if line.strip()]
    if isinstance(value, list | tuple):
        return [line for each in value for line in lines_of(_sentence(each), where)]
    if isinstance(value, Mapping):
        return lines_of(_sentence(value), where)
    raise UserInputError.of(where, f'the sentence {short(value)}', 'a text', 'write it as text')


def _sentence(value: Any) -> Any:
    """The text of a sentence that is an object of refer's: ``sent``, else ``raw``, else ``text``."""
    if not isinstance(value, Mapping):
        return value if not isinstance(value, list | tuple) else str(value)
    return next((value[key] for key in ('sent', 'raw', 'text') if isinstance(value.get(key), str)), None)


def whole_or_none(value: Any) -> int | None:
    """A whole number that can be an id, also written as text; None for anything else."""
    if isinstance(value, str) and value.strip().isdecimal() and len(value.strip()) < 18:
        return int(value)
    return int(value) if is_whole(value, 62) and value >= 0 else None


def known_as(value: Any) -> str | None:
    """A label as text: a name, a number's digits; None for nothing."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, int) and not isinstance(value, bool):
        return short(value)
    return None
