"""Writing the data set: the working format, refer's format, and COCO instances of every split."""

import pickle
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mmrefseg.utils import atomic_write, dump_json

from .shapes import CATEGORY_IDS

CATEGORIES = [{'id': number, 'name': name, 'supercategory': 'shape'} for name, number in CATEGORY_IDS.items()]


def number(splits: dict[str, Iterable[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Give images, objects, referred objects and sentences ids that no two splits share.

    Args:
        splits: Split -> images in order, as ``generate.make_image`` describes them.

    Returns:
        The same images with ``image_id``, and ``ann_id``, ``ref_id`` and
        ``sent_ids`` in each of their ``objects``. All start at 1; an object
        without a sentence has no ``ref_id``.
    """
    image_id = ann_id = ref_id = sent_id = 0
    numbered = {}
    for split, images in splits.items():
        numbered[split] = []
        for image in images:
            image_id += 1
            objects = []
            for item in image['objects']:
                ann_id += 1
                ids: dict[str, Any] = {'ann_id': ann_id}
                if item['expressions']:
                    ref_id += 1
                    first, sent_id = sent_id + 1, sent_id + len(item['expressions'])
                    ids.update(ref_id=ref_id, sent_ids=list(range(first, sent_id + 1)))
                objects.append({**item, **ids})
            numbered[split].append({**image, 'image_id': image_id, 'objects': objects})
    return numbered


def write_working(splits: dict[str, list[dict]], path: Path) -> None:
    """The working format: split -> one record for each referred object."""
    dump_json({split: [_working_record(*pair) for pair in _referred(p)] for split, p in splits.items()}, path)


def write_coco(splits: dict[str, list[dict]], folder: Path) -> None:
    """COCO instances: ``instances_<split>.json`` with all objects, referred to or not."""
    for split, images in splits.items():
        dump_json(_coco(images), folder / f'instances_{split}.json')


def write_refer(splits: dict[str, list[dict]], folder: Path) -> None:
    """The format of the refer API: ``refs(synth).p`` (pickle protocol 2) and ``instances.json``."""
    refs = [_refer_record(split, *pair) for split, images in splits.items() for pair in _referred(images)]
    with atomic_write(folder / 'refs(synth).p', 'wb') as file:
        pickle.dump(refs, file, protocol=2)
    everything = [image for images in splits.values() for image in images]
    dump_json(_coco(everything), folder / 'instances.json')


def count(splits: dict[str, list[dict]]) -> dict[str, dict[str, Any]]:
    """Per split: images, objects, referred objects, sentences, and sentences of each kind."""
    counts = {}
    for split, images in splits.items():
        kinds = Counter(kind for _, item in _referred(images) for kind in item['kinds'])
        counts[split] = {
            'images': len(images),
            'objects': sum(len(image['objects']) for image in images),
            'refs': sum(1 for _ in _referred(images)),
            'sentences': sum(kinds.values()),
            'kinds': dict(sorted(kinds.items())),
        }
    return counts


def _referred(images: list[dict]) -> Iterator[tuple[dict, dict]]:
    for image in images:
        for item in image['objects']:
            if item['expressions']:
                yield image, item


def _working_record(image: dict, item: dict) -> dict[str, Any]:
    return {
        'image_id': image['image_id'],
        'file_name': image['file_name'],
        'height': image['height'],
        'width': image['width'],
        'bbox': item['bbox'],
        'mask': item['segmentation'],
        'expressions': item['expressions'],
        'category_id': item['category_id'],
        'ref_id': item['ref_id'],
        'sent_ids': item['sent_ids'],
        'ann_id': item['ann_id'],
        'area': item['area'],
        'kinds': item['kinds'],
        'attributes': item['attributes'],
    }


def _refer_record(split: str, image: dict, item: dict) -> dict[str, Any]:
    sentences = [
        {'sent_id': sent_id, 'sent': text, 'raw': text, 'tokens': text.split()}
        for sent_id, text in zip(item['sent_ids'], item['expressions'], strict=True)
    ]
    stem, suffix = image['file_name'].rsplit('.', 1)
    return {
        'ref_id': item['ref_id'],
        'ann_id': item['ann_id'],
        'image_id': image['image_id'],
        'category_id': item['category_id'],
        'split': split,
        # refer puts the annotation's id behind the image's name; readers must go by image_id
        'file_name': f'{stem}_{item["ann_id"]}.{suffix}',
        'sent_ids': item['sent_ids'],
        'sentences': sentences,
    }


def _coco(described: list[dict]) -> dict[str, Any]:
    images = [
        {
            'id': image['image_id'],
            'file_name': image['file_name'],
            'height': image['height'],
            'width': image['width'],
        }
        for image in described
    ]
    annotations = [
        {
            'id': item['ann_id'],
            'image_id': image['image_id'],
            'category_id': item['category_id'],
            'segmentation': item['segmentation'],
            'area': item['area'],
            'bbox': item['bbox'],
            'iscrowd': 0,
            'attributes': item['attributes'],
        }
        for image in described
        for item in image['objects']
    ]
    info = {'description': 'RefShapes, a synthetic referring segmentation data set of mmrefseg'}
    return {'info': info, 'images': images, 'annotations': annotations, 'categories': CATEGORIES}
