"""Training sets made from others: a few objects keep their mask, or several sets become one."""

import random
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ...utils import UserInputError

UNITS = ('object', 'image')
# What else tells the shape of an object whose mask is withheld.
_TELLTALE = {'segmentation', 'rle', 'polygons', 'contours', 'area', 'points', 'ignore_mask'}


def sample_masks(
    records: list[dict],
    ratios: Sequence[float],
    seed: int,
    unit: str = 'object',
    where: str = 'train',
    with_empty: bool = False,
) -> dict[float, list[dict]]:
    """Withhold masks outside a random sample, for several sizes of sample.

    The objects are shuffled once, and each sample is the beginning of that order: the smaller samples lie
    within the larger. Refs to one annotation (same image, same box) are kept or withheld together.

    Args:
        records: Normalized records of the training split.
        ratios: Percentages above 0 and at most 100.
        seed: Seed of the shuffle.
        unit: ``'object'``: ``round(ratio / 100 * objects)`` objects keep their mask (at least 1; one more
            where the last annotation has two refs). ``'image'``: all masks of ``round(ratio / 100 * images)``
            images.
        where: File and split, for messages.
        with_empty: Also the sample in which all masks are withheld, as ratio 0.

    Returns:
        For each ratio the records in their order; a withheld one lacks the key ``mask`` and all that
        follows from a mask.

    Raises:
        UserInputError: If a ratio or the unit is wrong, or the file has too few masks.
    """
    _check(ratios, unit)
    keys: list[Any] = [(_image_key if unit == 'image' else annotation_key)(record) for record in records]
    total = len(set(keys)) if unit == 'image' else len(records)
    weights = _weights(records, keys, unit)
    order = sorted(weights, key=repr)
    random.Random(seed).shuffle(order)
    available = sum(weights.values())
    sampled = {0: [_withhold(record) for record in records]} if with_empty else {}
    for ratio in ratios:
        wanted = max(1, round(ratio / 100 * total))
        if wanted > available:
            found, expected = f'{available} {unit}s with masks', f'{wanted} ({ratio:g} % of {total})'
            raise UserInputError.of(where, found, expected, 'use the full file')
        kept = _first(order, weights, wanted)
        sampled[ratio] = [
            record if key in kept else _withhold(record) for key, record in zip(keys, records, strict=True)
        ]
    return sampled


def sample_coco_masks(
    annotations: list[dict],
    ratios: Sequence[float],
    seed: int,
    unit: str = 'object',
    where: str = 'annotations',
    with_empty: bool = False,
) -> dict[float, list[dict]]:
    """As :func:`sample_masks`, of the annotations of a COCO file.

    Regions that hold many objects (``iscrowd``) are no objects: they do not count and stay as they are.

    Args:
        annotations: With ``image_id`` and ``bbox``; those with a ``segmentation`` are drawn from.
        ratios: See :func:`sample_masks`.
        seed: See :func:`sample_masks`.
        unit: See :func:`sample_masks`; images are those that have an object.
        where: The file, for messages.
        with_empty: See :func:`sample_masks`.

    Returns:
        For each ratio the annotations in their order; a withheld one lacks ``segmentation`` and all that
        follows from it, and its ``area`` is its box's.

    Raises:
        UserInputError: As :func:`sample_masks`, or if an annotation has no image or no box.
    """
    if not isinstance(annotations, list):
        raise UserInputError.of(where, f'a {type(annotations).__name__}', 'a list of annotations', 'mend it')
    for annotation in annotations:
        _check_annotation(annotation, where)
    objects = [index for index, each in enumerate(annotations) if not each.get('iscrowd')]
    records = [
        {**annotations[index], 'mask': annotations[index].get('segmentation') or None} for index in objects
    ]
    sampled = {}
    for ratio, sample in sample_masks(records, ratios, seed, unit, where, with_empty).items():
        sampled[ratio] = list(annotations)
        for index, record in zip(objects, sample, strict=True):
            if record.get('mask') is None:
                width, height = record['bbox'][2:]
                sampled[ratio][index] = {**_withhold(record), 'area': width * height}
    return sampled


def _check_annotation(annotation: Any, where: str) -> None:
    box = annotation.get('bbox') if isinstance(annotation, dict) else None
    numbers = isinstance(box, list) and len(box) == 4 and all(isinstance(x, int | float) for x in box)
    if not numbers or not isinstance(annotation.get('image_id'), int | str):
        raise UserInputError.of(
            where, f'the annotation {str(annotation)[:80]}', 'image_id and bbox [x, y, w, h]', 'mend it'
        )


def _check(ratios: Sequence[float], unit: str) -> None:
    for ratio in ratios:
        if not 0 < ratio <= 100:
            raise UserInputError.of('ratio', f'{ratio:g}', 'a percentage above 0 and at most 100', 'mend it')
    if unit not in UNITS:
        raise UserInputError.of('unit', repr(unit), f'one of {UNITS}', 'mend it')


def annotation_key(record: dict) -> tuple:
    """What the refs to one annotation have in common: image and box."""
    return (*_image_key(record), *record['bbox'])


def withhold_masks(records: list[dict], kept: Collection[tuple]) -> list[dict]:
    """The records in their order; those whose :func:`annotation_key` is not in ``kept`` lack the key
    ``mask`` and all that follows from a mask."""
    return [record if annotation_key(record) in kept else _withhold(record) for record in records]


def _image_key(record: dict) -> tuple:
    return (record.get('data_source') or '', record['image_id'])


def _weights(records: list[dict], keys: list[Any], unit: str) -> dict[Any, int]:
    """How much each unit that has a mask counts: an annotation its refs, an image one."""
    weights: dict[Any, int] = {}
    for key, record in zip(keys, records, strict=True):
        if record.get('mask') is not None:
            weights[key] = 1 if unit == 'image' else weights.get(key, 0) + 1
    return weights


def _first(order: list[Any], weights: dict[Any, int], wanted: int) -> set[Any]:
    kept: set[Any] = set()
    count = 0
    for key in order:
        if count >= wanted:
            break
        kept.add(key)
        count += weights[key]
    return kept


def _withhold(record: dict) -> dict:
    return {key: value for key, value in record.items() if not (key in _TELLTALE or key.startswith('mask'))}


def guess_source(name: str) -> str:
    """SeqTR's name for where the images of a data set come from."""
    for start, source in (('refcoco', 'coco'), ('referit', 'saiaprtc12'), ('flickr', 'flickr'), ('vg', 'vg')):
        if name.startswith(start):
            return source
    return name


def mix_datasets(
    datasets: Mapping[str, dict[str, list[dict]]], sources: Mapping[str, str] | None = None
) -> tuple[dict[str, list[dict]], dict[str, int]]:
    """Join training sets; keep the other splits apart under names of their own.

    RefCOCO, RefCOCO+ and RefCOCOg divide the same COCO images in different ways: a training image of
    one is often a test image of another. Images that any data set tests on are left out of the mixed
    training set.

    Args:
        datasets: Normalized splits by name of the data set, e.g. ``'refcoco-unc'``.
        sources: ``data_source`` by name, for records that have none; see :func:`guess_source`.

    Returns:
        The splits ``train`` and ``<split>_<name>`` (``val_refcoco_unc``...), and the number of training
        objects left out by name. In ``train`` ref_id and sent_ids count from 0; ``source_dataset`` and
        ``source_ref_id`` tell where an object came from.

    Raises:
        UserInputError: If no training object is left.
    """
    sources = sources or {}
    tested = set()
    mixed: dict[str, list[dict]] = {'train': []}
    for name, splits in datasets.items():
        source = sources.get(name, guess_source(name))
        for split, records in splits.items():
            for record in records:
                record.setdefault('data_source', source)
            if split != 'train':
                mixed[f'{split}_{name.replace("-", "_")}'] = records
                tested.update((record['data_source'], record['image_id']) for record in records)
    dropped = {}
    for name, splits in datasets.items():
        records = splits.get('train', [])
        kept = [record for record in records if (record['data_source'], record['image_id']) not in tested]
        dropped[name] = len(records) - len(kept)
        for record in kept:
            mixed['train'].append(_renumbered(record, name, mixed['train']))
    if not mixed['train']:
        raise UserInputError.of(
            'mix', 'no training object left', 'some', 'add a data set with a split "train"'
        )
    return mixed, dropped


def _renumbered(record: dict, name: str, before: list[dict]) -> dict:
    first = before[-1]['sent_ids'][-1] + 1 if before else 0
    return {
        **record,
        'ref_id': len(before),
        'sent_ids': list(range(first, first + len(record['expressions']))),
        'source_dataset': name,
        'source_ref_id': record['ref_id'],
    }
