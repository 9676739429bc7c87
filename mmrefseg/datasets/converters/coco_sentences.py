"""COCO files whose objects have sentences: of the annotation, of CVAT's attributes, of MDETR's captions."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...structures.masks import bounds, to_rle
from ...structures.rle import areas, run_lengths
from ...utils import UserInputError, dump_json, load_json
from ...utils.errors import short
from ..coco import CheckedCoco, read_coco
from ..coco.findings import Findings
from ..coco.image_files import escapes
from .conversion import Conversion
from .exports import Exported, by_image, drawn_mask, label_of
from .regions import (
    ImportOptions,
    Region,
    RegionCollector,
    lines_of,
    sentences_of,
    split_named,
    whole_or_none,
)

# `instances_val.json`, `finetune_refcoco_testA.json`
_SPLIT = re.compile(r'[_-](train|validation|val|testA|testB|test)(?:20\d\d)?$', re.IGNORECASE)


def read_coco_sentences(
    path: str | os.PathLike,
    images: str | os.PathLike | None = None,
    options: ImportOptions | None = None,
    captions: str | os.PathLike | None = None,
) -> Conversion:
    """Read a COCO instance file, checked and mended as :func:`~mmrefseg.datasets.coco.check_coco` does.

    What cannot be mended is an error, as in other formats: an object without image, category or sound box,
    or with a mask that is none. With ``skip_bad`` it is left out.

    An object's sentences are those of its annotation (a key such as ``expressions`` or ``caption``, see
    :data:`~mmrefseg.datasets.converters.regions.TEXT_FIELDS`) or of its ``attributes`` (CVAT); else the words
    of its image's ``caption`` at its ``tokens_positive`` (MDETR, and the captions of GLIP and Grounding
    DINO), or, where it is the image's only object, the whole caption, or those of a captions file.
    Annotations of one file, box and category with sentences of their own are one object. A crowd without a
    sentence is left out.

    Args:
        path: The file. A name such as ``instances_val.json`` names the split.
        images: Folder of the images, to check their sizes.
        options: See :class:`~mmrefseg.datasets.converters.regions.ImportOptions`.
        captions: COCO's ``captions_*.json``: sentences for images with a single object.

    Raises:
        UserInputError: If a file is wrong, or nothing is left.
    """
    checked = read_coco(path, images, keep_images=True)
    collector = RegionCollector(options or ImportOptions())
    lost = _leave_out_bad(checked, collector, str(path))
    regions = _Regions(checked, path, collector.options, captions)
    for annotation in checked.annotations:
        if annotation['id'] in lost:
            continue
        try:
            region = regions.of(annotation)
        except UserInputError as error:
            collector.skip(error)
            continue
        if (
            annotation['iscrowd']
            and not region.sentences
            and not isinstance(annotation.get('attributes'), dict)
        ):
            collector.leave_out('crowd')
            continue
        collector.add(region)
    conversion = collector.finish(str(path))
    conversion.remarks = [*checked.sentences(), *conversion.remarks]
    return conversion


class _Regions:
    """The objects of a file with their sentences."""

    def __init__(
        self,
        checked: CheckedCoco,
        path: str | os.PathLike,
        options: ImportOptions,
        captions: str | os.PathLike | None,
    ) -> None:
        self._path, self._options = path, options
        self._captions = _read_captions(captions) if captions is not None else {}
        named = _SPLIT.search(Path(path).stem)
        self._split = split_named(named[1]) if named and options.split == 'train' else None
        self._images = {image['id']: image for image in checked.content['images']}
        self._names = {category['id']: category['name'] for category in checked.content['categories']}
        self._counts = Counter(annotation['image_id'] for annotation in checked.annotations)

    def of(self, annotation: dict) -> Region:
        """One object; as the only one of its image, it may have the words of the image's captions."""
        image_id, where = annotation['image_id'], f'{self._path} annotation {annotation["id"]}'
        image = self._images[image_id]
        texts = _sentences(annotation, image, self._names, self._options, where)
        if not texts and self._counts[image_id] == 1:
            texts = lines_of(image.get('caption'), where) + self._captions.get(image_id, [])
        region = _region(annotation, image, self._names, texts, where)
        region.split = self._split
        return region


def _leave_out_bad(checked: CheckedCoco, collector: RegionCollector, path: str) -> set[int]:
    """Note each object that the check could not mend.

    Returns:
        The ids of those that it has left without their masks.

    Raises:
        UserInputError: If there is one, and ``skip_bad`` is off.
    """
    bad = Findings(keep_all=True)
    for reason, name in checked.unusable.each():
        bad.add(reason, name)
    for id_, reason in checked.lost_masks.items():
        bad.add(reason, id_)
    expected = 'objects of its images and categories, with boxes and masks that are sound'
    if bad and not collector.options.skip_bad:
        found = f'{bad.total} of {checked.num_objects} objects that cannot be read: {bad}'
        raise UserInputError.of(
            path, found, expected, 'mend them, or leave them out by import coco --skip-bad'
        )
    for reason, name in bad.each():
        collector.skip(UserInputError.of(f'{path} annotation {name}', reason, expected, 'mend it'))
    # What was noted is no remark, too.
    checked.unusable = Findings()
    for reason in {*checked.lost_masks.values()}:
        checked.without_mask.drop(reason)
    return {*checked.lost_masks}


def _read_captions(path: str | os.PathLike) -> dict[Any, list[str]]:
    """The captions of a captions file by image id."""
    content = load_json(path)
    entries = content.get('annotations') if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserInputError.of(
            str(path), 'no list "annotations"', "COCO's captions", 'give captions_train2017.json or the like'
        )
    found: dict[Any, list[str]] = {}
    for number, entry in enumerate(entries):
        image_id = entry.get('image_id')
        if isinstance(image_id, int | str):
            found.setdefault(image_id, []).extend(
                lines_of(entry.get('caption'), f'{path} annotation {number}')
            )
    return found


def _sentences(
    annotation: dict, image: dict, names: dict[Any, str], options: ImportOptions, where: str
) -> list[str]:
    label = names.get(annotation['category_id'])
    texts = sentences_of(annotation, options.text_field, where, label)
    attributes = annotation.get('attributes')
    if not texts and isinstance(attributes, dict):
        texts = sentences_of(attributes, options.text_field, where, label)
    if not texts and options.text_field is None and annotation.get('tokens_positive'):
        texts = _phrase(image.get('caption'), annotation['tokens_positive'], where)
    return texts


def _phrase(caption: Any, spans: Any, where: str) -> list[str]:
    """The words of a caption at ``tokens_positive``: [[first, behind the last letter], ...]."""
    sound = isinstance(caption, str) and isinstance(spans, list)
    pieces = []
    for span in spans if sound else ():
        if not isinstance(span, list) or len(span) != 2 or not all(type(each) is int for each in span):
            sound = False
            break
        pieces.append(caption[max(span[0], 0) : max(span[1], 0)].strip())
    if not sound:
        raise UserInputError.of(
            where,
            f'tokens_positive {short(spans)}',
            'pairs of places in the caption of its image',
            'write the file again',
        )
    return lines_of(' '.join(filter(None, pieces)).replace('\n', ' '), where)


def _region(annotation: dict, image: dict, names: dict[Any, str], texts: list[str], where: str) -> Region:
    name = image.get('file_name')
    if not isinstance(name, str) or not name:
        raise UserInputError.of(where, 'an image without a file_name', 'its name', 'add it to "images"')
    if escapes(name):
        found = f'the file_name {short(name)}, which leads out of the folder of the images'
        raise UserInputError.of(where, found, 'the name of a file below it', 'mend the name')
    size = int(image['height']), int(image['width'])
    mask, box = annotation.get('segmentation') or None, [float(value) for value in annotation['bbox']]
    label = names.get(annotation['category_id'])
    region = Region(name, size, where, label, mask, box, texts)
    region.category_id = whole_or_none(annotation['category_id'])
    original = image.get('original_id')
    region.image_id = original if isinstance(original, int) and original >= 0 else whole_or_none(image['id'])
    attributes = annotation.get('attributes')
    kept = attributes.get('ref_id') if isinstance(attributes, dict) else None
    region.ref_id = whole_or_none(annotation.get('ref_id', kept))
    if texts:
        region.group = (region.ref_id, *box)
    return region


def write_cvat_coco(
    entries: Sequence[Exported], folder: str | os.PathLike, tolerance: float = 0.5, bitmaps: bool = False
) -> dict[str, int]:
    """Write ``annotations/instances_<split>.json`` for CVAT's import of "COCO 1.0", and ``labels.json``.

    Polygons stay polygons; a mask with a hole, or every mask with ``bitmaps``, is a mask of CVAT (run
    lengths, marked ``iscrowd`` as CVAT marks them). Sentences are the attributes ``expression``,
    ``expression_2`` and so on, and ``ref_id`` is one, too. CVAT keeps attributes that its labels have: paste
    ``labels.json`` into the "Raw" tab of the project's labels.

    Args:
        entries: See :func:`~mmrefseg.datasets.converters.exports.exported`.
        folder: To write to.
        tolerance: How far the polygons of a mask that is no polygon may leave its pixels, in pixels.
        bitmaps: Write every mask as run lengths.

    Returns:
        The number of objects by split.
    """
    labels = sorted({label_of(entry.record) for entry in entries})
    category_ids = {label: number for number, label in enumerate(labels, start=1)}
    categories = [{'id': id_, 'name': label, 'supercategory': ''} for label, id_ in category_ids.items()]
    counts: dict[str, int] = {}
    for split in dict.fromkeys(entry.split for entry in entries):
        members = [entry for entry in entries if entry.split == split]
        images, annotations = [], []
        for image_id, (name, inside) in enumerate(by_image(members).items(), start=1):
            first = inside[0].record
            size = {'height': int(first['height']), 'width': int(first['width'])}
            images.append({'id': image_id, 'file_name': name, **size})
            for entry in inside:
                annotation = _annotation(entry.record, tolerance, bitmaps)
                annotation.update(id=len(annotations) + 1, image_id=image_id)
                annotation['category_id'] = category_ids[label_of(entry.record)]
                annotations.append(annotation)
        content = {'images': images, 'annotations': annotations, 'categories': categories}
        dump_json(content, Path(folder, 'annotations', f'instances_{split}.json'))
        counts[split] = len(annotations)
    most = max(len(entry.record['expressions']) for entry in entries)
    dump_json([_label(label, most) for label in labels], Path(folder, 'labels.json'), indent=2)
    return counts


def _annotation(record: dict, tolerance: float, bitmaps: bool) -> dict[str, Any]:
    height, width = int(record['height']), int(record['width'])
    attributes: dict[str, Any] = {'occluded': False, 'ref_id': record['ref_id']}
    for number, text in enumerate(record['expressions'], start=1):
        attributes[_attribute(number)] = text
    if record.get('mask') is None:
        box = [float(value) for value in record['bbox']]
        return {'segmentation': [], 'bbox': box, 'area': box[2] * box[3], 'iscrowd': 0} | {
            'attributes': attributes
        }
    rle = to_rle(record['mask'], height, width, check=None)
    shape = {'area': int(areas([rle])[0]), 'attributes': attributes}
    polygons = None if bitmaps else drawn_mask(record, tolerance)
    if polygons is not None:
        return {**shape, 'segmentation': polygons, 'bbox': bounds(polygons, height, width), 'iscrowd': 0}
    counts = run_lengths(rle['counts']).tolist()
    segmentation = {'size': [height, width], 'counts': counts}
    return {**shape, 'segmentation': segmentation, 'bbox': bounds(rle, height, width), 'iscrowd': 1}


def _attribute(number: int) -> str:
    return 'expression' if number == 1 else f'expression_{number}'


def _label(name: str, sentences: int) -> dict[str, Any]:
    """A label of CVAT with its attributes, for the "Raw" tab."""
    names = [_attribute(number) for number in range(1, sentences + 1)]
    attributes = [
        {'name': each, 'input_type': 'text', 'mutable': False, 'values': [''], 'default_value': ''}
        for each in names
    ]
    number = {'name': 'ref_id', 'input_type': 'text', 'mutable': False, 'values': [''], 'default_value': ''}
    return {'name': name, 'attributes': [*attributes, number]}
