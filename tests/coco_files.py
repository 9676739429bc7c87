"""A small sound COCO file, of which the tests of this folder break one thing at a time."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from mmrefseg.structures.masks import to_rle
from mmrefseg.structures.rle import decode_mask

HEIGHT, WIDTH = 96, 128
NUM_IMAGES = 4
AREA = 1406  # pixels of each object


def polygon(x: int, y: int) -> list[int]:
    """An object at (x, y): it fills the box [x, y, 40, 44]."""
    return [x, y, x + 40, y + 6, x + 36, y + 44, x + 3, y + 39]


def sound_file(first_id: int = 1) -> dict:
    """Four images of a bolt and a nut each; the objects are numbered from ``first_id``."""
    annotations = []
    for number in range(NUM_IMAGES):
        for category, x in ((1, 10), (2, 70)):
            y = 15 + 5 * number
            annotations.append(
                {
                    'id': first_id + len(annotations),
                    'image_id': number + 1,
                    'category_id': category,
                    'bbox': [x, y, 40, 44],
                    'area': 1496.0,
                    'iscrowd': 0,
                    'segmentation': [polygon(x, y)],
                }
            )
    images = [
        {'id': number + 1, 'file_name': f'p{number}.png', 'height': HEIGHT, 'width': WIDTH}
        for number in range(NUM_IMAGES)
    ]
    categories = [{'id': 1, 'name': 'bolt'}, {'id': 2, 'name': 'nut'}]
    return {'images': images, 'annotations': annotations, 'categories': categories}


def changed(change: Callable[[dict], object], of: str = 'annotations') -> dict:
    """The sound file with each entry of a list changed in place."""
    content = copy.deepcopy(sound_file())
    for entry in content[of]:
        change(entry)
    return content


def write_images(folder, height: int = HEIGHT, width: int = WIDTH, suffix: str = 'png', orientation: int = 1):
    """The images of the sound file, with noise that tells one orientation from another."""
    folder.mkdir(exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    rng = np.random.default_rng(0)
    for number in range(NUM_IMAGES):
        pixels = rng.integers(0, 255, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f'p{number}.{suffix}', exif=exif)
    return folder


def rle_of(annotation, height=HEIGHT, width=WIDTH):
    """The mask of a sound annotation."""
    return to_rle(annotation['segmentation'], height, width)


def same_objects(checked):
    """Assert that masks, boxes and areas are those of the sound file."""
    for mine, true in zip(checked.annotations, sound_file()['annotations'], strict=True):
        assert mine['bbox'] == pytest.approx(true['bbox'], abs=0.01)
        assert mine['area'] == pytest.approx(AREA, rel=0.1)
        assert mine['iscrowd'] == 0
        assert (
            decode_mask(to_rle(mine['segmentation'], HEIGHT, WIDTH)).tolist()
            == decode_mask(rle_of(true)).tolist()
        )
    assert len({annotation['id'] for annotation in checked.annotations}) == 8
