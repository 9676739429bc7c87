"""Tiny VOC as its config expects it: real test images, and COCO's images with VOC's names to train on."""

import json
from pathlib import Path

# VOC's name -> COCO's, where they differ.
COCO_NAMES = {
    'aeroplane': 'airplane',
    'diningtable': 'dining table',
    'motorbike': 'motorcycle',
    'pottedplant': 'potted plant',
    'sofa': 'couch',
    'tvmonitor': 'tv',
}


def link_voc(shared: Path, data: Path) -> None:
    """``train_images, test_images, pascal_train.json, test.json`` in ``data``.

    Args:
        shared: Folder with ``tiny_voc`` and ``tiny_coco``.
        data: Where they go. 40 of the 50 training images show something of VOC's classes.
    """
    data.mkdir(exist_ok=True)
    (data / 'test_images').symlink_to(shared / 'tiny_voc/test_images')
    (data / 'test.json').symlink_to(shared / 'tiny_voc/test.json')
    (data / 'train_images').symlink_to(shared / 'tiny_coco/train2017')
    categories = json.loads((data / 'test.json').read_text())['categories']
    coco = json.loads((shared / 'tiny_coco/annotations/instances_train2017.json').read_text())
    ids = {category['name']: category['id'] for category in coco['categories']}
    voc_ids = {ids[COCO_NAMES.get(c['name'], c['name'])]: c['id'] for c in categories}
    annotations = [
        {**annotation, 'category_id': voc_ids[annotation['category_id']]}
        for annotation in coco['annotations']
        if annotation['category_id'] in voc_ids
    ]
    shown = {annotation['image_id'] for annotation in annotations}
    images = [image for image in coco['images'] if image['id'] in shown]
    content = dict(images=images, annotations=annotations, categories=categories)
    (data / 'pascal_train.json').write_text(json.dumps(content))
