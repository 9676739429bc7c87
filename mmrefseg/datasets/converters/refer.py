"""refer's own format (RefCOCO, RefCOCO+, RefCOCOg): ``refs(<by>).p`` and ``instances.json``, in and out; and
gRefCOCO, whose expressions refer to none, one or several objects."""

import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...structures import masks
from ...structures.boxes import box_union, is_box
from ...structures.rle import areas
from ...utils import UserInputError, atomic_write, dump_json, load_json
from ...utils.errors import short
from ...utils.safe_pickle import load_pickle
from ..annotations import paused_gc
from ..images import COCO_TEMPLATE
from ..validation import DICTS, ID, TEXT, Kind, fields_problem, is_id, size_problem
from .conversion import Conversion

TEXTS = ('sent', 'raw')
# What must be sound before a ref is followed; the rest is checked with its record.
_REF = {'ref_id': ID, 'ann_id': ID, 'image_id': ID, 'split': TEXT, 'sentences': DICTS}
_IDS = Kind(
    lambda value: is_id(value) or (isinstance(value, list) and all(map(is_id, value))), 'annotation ids'
)
_GREF = {**_REF, 'ann_id': _IDS}


def read_refer(
    refs: str | os.PathLike,
    instances: str | os.PathLike,
    text: str = 'sent',
    skip_bad: bool = False,
    mend: bool = False,
) -> Conversion:
    """Read refer's two files.

    An image is found by ``image_id``: a ref's ``file_name`` carries the annotation's number and is no
    file. Two refs may share an annotation, and an annotation may have several polygons; both stay as they
    are. A ref whose annotation is not in ``instances`` may bring its own ``bbox``.

    Args:
        refs: ``refs(unc).p`` and the like, or the same list as json.
        instances: COCO's instances of the images.
        text: Which form of a sentence becomes the expression: ``'sent'`` (lower case, without punctuation) or
            ``'raw'`` (as it was typed). If it is empty the other one is taken.
        skip_bad: Count and list bad records instead of stopping.
        mend: Drop polygons of fewer than 3 points from masks that have others.

    Raises:
        UserInputError: If a file or a record is wrong.
    """
    conversion = Conversion(skip_bad, mend)
    with paused_gc():
        coco = CocoInstances(instances)
        for index, ref in enumerate(read_refs(refs)):
            where = f'{refs} ref {index}'
            try:
                record = {**coco.record(ref, where), **_sentences(ref, text)}
            except UserInputError as error:
                conversion.skip(error)
            else:
                conversion.add_new(str(ref['split']), record, where)
        return conversion.finish(str(refs))


def read_refs(path: str | os.PathLike) -> list[dict]:
    """The list of refs in a pickle or a json file.

    Raises:
        UserInputError: If it is something else.
    """
    # Some were pickled by way of numpy or pandas.
    refs = load_json(path) if Path(path).suffix == '.json' else load_pickle(path, arrays=True, as_lists=True)
    if not isinstance(refs, list) or not refs or not all(isinstance(ref, dict) for ref in refs):
        raise UserInputError.of(str(path), 'no list of refs', "refer's refs(<by>).p", 'give the right file')
    return refs


class CocoInstances:
    """COCO's images and annotations by their numbers.

    Args:
        path: A file in COCO's instances format.

    Raises:
        UserInputError: If the layout is another.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = path
        data = load_json(path)
        lists = ('images', 'annotations')
        if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in lists):
            raise UserInputError.of(
                str(path),
                'a json file without lists "images" and "annotations"',
                'COCO instances',
                'give the right file',
            )
        self.images, self.annotations = (_by_id(data[key]) for key in lists)

    def image(self, image_id: Any, where: str) -> dict:
        """image_id, height, width and, where it is not COCO's own, file_name.

        Raises:
            UserInputError: If there is no such image, or its size is not known.
        """
        image = self.images.get(image_id)
        if image is None:
            raise UserInputError.of(
                where,
                f'image_id {short(image_id)} that is not in {self.path}',
                'one of its images',
                'use matching files',
            )
        record = {'image_id': image_id, 'height': image.get('height'), 'width': image.get('width')}
        problem = size_problem(record)
        if problem:
            raise UserInputError.of(f'{where} (image_id {image_id})', *problem)
        name = image.get('file_name')
        if name and not (isinstance(image_id, int) and name == COCO_TEMPLATE.format(image_id)):
            record['file_name'] = name
        return record

    def annotation(self, ann_id: Any, image_id: Any, where: str) -> dict:
        """The annotation of that number, which must belong to the image.

        Raises:
            UserInputError: If it is missing or belongs to another image.
        """
        annotation = self.annotations.get(ann_id)
        if annotation is None:
            raise UserInputError.of(
                where,
                f'ann_id {short(ann_id)} that is not in {self.path}',
                'one of its annotations',
                'use matching files',
            )
        if annotation.get('image_id') != image_id:
            raise UserInputError.of(
                where,
                f'ann_id {short(ann_id)} of image {short(annotation.get("image_id"))}',
                f'an annotation of image {short(image_id)}',
                'use matching files',
            )
        return annotation

    def record(self, ref: dict, where: str) -> dict:
        """The fields of a ref that are not its sentences.

        Raises:
            UserInputError: If the ref lacks a field or does not fit the images and annotations.
        """
        _check(ref, ('ref_id', 'image_id', 'split', 'sentences'), _REF, where)
        record = self.image(ref['image_id'], where)
        if ref.get('ann_id') not in self.annotations and 'bbox' in ref:
            record.update(bbox=ref['bbox'], category_id=ref.get('category_id'))
        else:
            annotation = self.annotation(ref.get('ann_id'), ref['image_id'], where)
            record['bbox'] = annotation.get('bbox')
            if annotation.get('segmentation'):
                record['mask'] = annotation_mask(annotation, record, where)
            record.update(category_id=annotation.get('category_id'), ann_id=annotation['id'])
        record['ref_id'] = ref['ref_id']
        return record


def _by_id(entries: list) -> dict[int | str, dict]:
    """Entries by their ids. What has none is left out: nothing can refer to it."""
    return {entry['id']: entry for entry in entries if isinstance(entry, dict) and is_id(entry.get('id'))}


def _check(ref: dict, needed: Sequence[str], kinds: Mapping[str, Kind], where: str) -> None:
    missing = [key for key in needed if ref.get(key) is None]
    if missing:
        raise UserInputError.of(
            where, f'a ref without {", ".join(missing)}', "refer's fields", 'give the right file'
        )
    problem = fields_problem(ref, kinds)
    if problem:
        raise UserInputError.of(where, *problem)


def annotation_mask(annotation: dict, image: dict, where: str) -> list | dict:
    """The mask of an annotation; refer also knows a list of RLEs, which become one.

    Raises:
        UserInputError: If one of them is no RLE of the image.
    """
    mask = annotation['segmentation']
    if not isinstance(mask, list) or not any(isinstance(part, dict) for part in mask):
        return mask
    if len(mask) == 1:
        return mask[0]
    parts = [part if isinstance(part, dict) else [part] for part in mask]
    size = (image['height'], image['width'])
    for part in parts:
        problem = masks.mask_problem(part, *size)
        if problem:
            raise UserInputError.of(f'{where} (ann_id {annotation["id"]})', *problem)
    return masks.union(parts, *size)


def sentence_text(sentence: dict, text: str) -> str:
    """One sentence of refer's, in the form asked for or else the one that is there."""
    tokens = sentence.get('tokens')
    words = [token for token in tokens if isinstance(token, str)] if isinstance(tokens, list) else []
    forms = [*(sentence.get(key) for key in (text, *TEXTS)), ' '.join(words)]
    return next((form.strip() for form in forms if isinstance(form, str) and form.strip()), '')


def _sentences(ref: dict, text: str) -> dict:
    sentences = ref['sentences']
    fields: dict[str, Any] = {'expressions': [sentence_text(sentence, text) for sentence in sentences]}
    if all('sent_id' in sentence for sentence in sentences):
        fields['sent_ids'] = [sentence['sent_id'] for sentence in sentences]
    return fields


def write_refer(splits: dict[str, list[dict]], folder: str | os.PathLike, by: str = 'unc') -> None:
    """Write ``refs(<by>).p`` and ``instances.json`` into ``folder``.

    What refer has no place for is lost: ``data_source``, where a mask came from, other extra keys. An object
    without a mask gets an annotation with an empty ``segmentation``. Reading the files again gives the same
    records.

    Args:
        splits: Normalized records by split.
        folder: Where to write.
        by: The name in the brackets.

    Raises:
        UserInputError: If an expression has no target (gRefCOCO).
    """
    images: dict[Any, dict] = {}
    annotations: list[dict] = []
    numbers = _AnnotationNumbers(splits)
    refs = []
    for split, records in splits.items():
        for record in records:
            if record.get('no_target'):
                raise UserInputError.of(
                    f'ref_id {record["ref_id"]}',
                    'no target',
                    "an object, as refer's format demands one",
                    'leave it out',
                )
            image = _image(record)
            images.setdefault(image['id'], image)
            ann_id, is_new = numbers(record)
            if is_new:
                annotations.append(_annotation(record, ann_id))
            refs.append(_ref(record, ann_id, split, image['file_name']))
    categories = sorted({annotation['category_id'] for annotation in annotations})
    coco = {
        'images': list(images.values()),
        'annotations': annotations,
        'categories': [{'id': number, 'name': str(number), 'supercategory': ''} for number in categories],
    }
    dump_json(coco, Path(folder) / 'instances.json')
    with atomic_write(Path(folder) / f'refs({by}).p', 'wb') as file:
        pickle.dump(refs, file, protocol=2)


class _AnnotationNumbers:
    """Keeps the ``ann_id`` of a record where it can, and shares it between refs of the same object."""

    def __init__(self, splits: dict[str, list[dict]]) -> None:
        known = [self._own(record) for records in splits.values() for record in records]
        self._next = 1 + max((number for number in known if number is not None), default=0)
        self._of: dict[int, tuple] = {}

    def __call__(self, record: dict) -> tuple[int, bool]:
        content = (record['image_id'], tuple(record['bbox']), record['category_id'], repr(record.get('mask')))
        number = self._own(record)
        if number is None or self._of.get(number, content) != content:
            number, self._next = self._next, self._next + 1
        is_new = number not in self._of
        self._of[number] = content
        return number, is_new

    @staticmethod
    def _own(record: dict) -> int | None:
        number = record.get('ann_id')
        return number if isinstance(number, int) and number >= 0 else None


def _image(record: dict) -> dict:
    image_id = record['image_id']
    template = COCO_TEMPLATE if isinstance(image_id, int) else '{}.jpg'
    name = record.get('file_name') or template.format(image_id)
    return {'id': image_id, 'file_name': name, 'height': record['height'], 'width': record['width']}


def _annotation(record: dict, ann_id: int) -> dict:
    mask = record.get('mask')
    height, width = int(record['height']), int(record['width'])
    box = record['bbox']
    return {
        'id': ann_id,
        'image_id': record['image_id'],
        'category_id': record['category_id'],
        'bbox': box,
        'area': box[2] * box[3]
        if mask is None
        else int(areas([masks.to_rle(mask, height, width, check=None)])[0]),
        'iscrowd': int(isinstance(mask, dict)),
        # refer takes an RLE out of a list.
        'segmentation': [] if mask is None else [mask] if isinstance(mask, dict) else mask,
    }


def _ref(record: dict, ann_id: int, split: str, image_name: str) -> dict:
    stem, _, suffix = image_name.rpartition('.')
    sentences = [
        {'sent_id': sent_id, 'sent': text, 'raw': text, 'tokens': text.split()}
        for sent_id, text in zip(record['sent_ids'], record['expressions'], strict=True)
    ]
    return {
        'ref_id': record['ref_id'],
        'ann_id': ann_id,
        'image_id': record['image_id'],
        'category_id': record['category_id'],
        'split': split,
        'file_name': f'{stem}_{ann_id}.{suffix}',
        'sent_ids': record['sent_ids'],
        'sentences': sentences,
    }


def read_grefcoco(
    refs: str | os.PathLike,
    instances: str | os.PathLike,
    text: str = 'sent',
    skip_bad: bool = False,
    mend: bool = False,
) -> Conversion:
    """Read ``grefs(unc).json`` and ``instances.json``.

    Several targets become one mask (their union) and one box around all; ``ann_ids`` and ``boxes`` keep them
    apart. A ref without target gets ``no_target=True``, the box [0, 0, 0, 0] and no mask; data sets here
    leave it out, as no model of the package predicts "nothing".

    Args:
        refs: gRefCOCO's json file (``ann_id`` is a list, [-1] for no target).
        instances: COCO's instances of the images.
        text: ``'sent'`` or ``'raw'``.
        skip_bad: Count and list bad records instead of stopping.
        mend: Drop polygons of fewer than 3 points from masks that have others.

    Raises:
        UserInputError: If a file or a record is wrong.
    """
    conversion = Conversion(skip_bad, mend)
    with paused_gc():
        coco = CocoInstances(instances)
        for index, ref in enumerate(read_refs(refs)):
            where = f'{refs} ref {index}'
            try:
                record = _several(ref, coco, text, where)
            except UserInputError as error:
                conversion.skip(error)
            else:
                conversion.add_new(str(ref['split']), record, where)
        return conversion.finish(str(refs))


def _several(ref: dict, coco: CocoInstances, text: str, where: str) -> dict[str, Any]:
    _check(ref, ('image_id', 'split', 'sentences', 'ann_id'), _GREF, where)
    record = coco.image(ref['image_id'], where)
    numbers = ref['ann_id'] if isinstance(ref['ann_id'], list) else [ref['ann_id']]
    if ref.get('no_target') or numbers in ([], [-1]):
        record.update(bbox=[0, 0, 0, 0], no_target=True, category_id=0, ann_ids=[])
    else:
        found = [coco.annotation(number, ref['image_id'], where) for number in numbers]
        record.update(_targets(found, record, where))
    record['ref_id'] = ref.get('ref_id')
    return {**record, **_sentences(ref, text)}


def _targets(annotations: list[dict], image: dict, where: str) -> dict[str, Any]:
    size = image['height'], image['width']
    boxes = [annotation.get('bbox') for annotation in annotations]
    for annotation, box in zip(annotations, boxes, strict=True):
        if not is_box(box):
            raise UserInputError.of(
                f'{where} (ann_id {annotation["id"]})',
                f'bbox {short(box)}',
                '[x, y, width, height] in pixels',
                'mend it',
            )
    fields = {
        'bbox': boxes[0] if len(boxes) == 1 else box_union(boxes),
        'boxes': boxes,
        'ann_ids': [annotation['id'] for annotation in annotations],
        'category_id': annotations[0].get('category_id'),
        'category_ids': [annotation.get('category_id') for annotation in annotations],
    }
    if not all(annotation.get('segmentation') for annotation in annotations):
        return fields
    parts = [annotation_mask(annotation, image, where) for annotation in annotations]
    for number, part in zip(fields['ann_ids'], parts, strict=True):
        problem = masks.mask_problem(part, *size)
        if problem:
            raise UserInputError.of(f'{where} (ann_id {number})', *problem)
    fields['mask'] = masks.union(parts, *size)
    return fields
