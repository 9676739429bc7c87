"""docs/bad_input.md quotes what the package says."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmrefseg.datasets.annotations import load_split
from mmrefseg.datasets.ref_seg_dataset import RefSegDataset
from mmrefseg.datasets.transforms import LoadRefImage
from mmrefseg.datasets.vocabulary import Vocabulary
from mmrefseg.utils import UserInputError
from mmrefseg.utils.safe_pickle import load_pickle

PAGE = Path(__file__).resolve().parents[1] / 'docs' / 'bad_input.md'
NAN = float('nan')
RECORD = {
    'image_id': 7,
    'height': 48,
    'width': 64,
    'bbox': [10, 10, 20, 20],
    'mask': [[10, 10, 30, 10, 30, 30, 10, 30]],
    'expressions': ['red square', 'the left one'],
    'category_id': 1,
    'ref_id': 3,
    'sent_ids': [5, 6],
}


def quoted(section: str) -> dict[str, list[str]]:
    """What is wrong -> phrases of the sentence, from the first table of a section."""
    text = PAGE.read_text(encoding='utf-8').split(f'## {section}\n')[1].strip().split('\n\n')[0]
    rows = re.findall(r'^\| (.+?) \| (.+?) \|$', text, re.MULTILINE)[1:]
    return {wrong: phrases.split(' · ') for wrong, phrases in rows if not wrong.startswith('---')}


def one(**changes) -> dict:
    """A file with one object, changed."""
    record = {**RECORD, **changes}
    return {'val': [{key: value for key, value in record.items() if value is not ...}]}


POLYGON_OF_NAN = [[1, 1, NAN, 1, 9, 9]]
TURNED = {'size': [64, 48], 'counts': [64 * 48]}
ANNOTATIONS = {
    'not the working format': [{'images': [], 'annotations': []}, [RECORD]],
    'no such split': [{'val': [RECORD]}],
    'empty split': [{'val': []}],
    'object without expressions': [one(expressions=...)],
    'empty expression': [one(expressions=['red square', ' '])],
    'polygon with fewer than 3 points': [one(mask=[[1, 1, 9, 9]])],
    'polygon outside of the image': [one(mask=[[70, 1, 90, 1, 90, 9]])],
    'NaN in a polygon or a box': [one(mask=POLYGON_OF_NAN), one(bbox=[1, NAN, 3, 4])],
    'RLE of another size': [one(mask=TURNED)],
    'mask that covers no pixel': [one(mask=[[3, 3, 3, 20, 3, 9]])],
    'box of zero area, or outside': [one(bbox=[10, 10, 20, 0]), one(bbox=[64, 10, 5, 5])],
    'masks or boxes whose numbers are text': [one(mask=[['a', 1, 9, 1, 9, 9]]), one(bbox=['1', 1, 5, 5])],
    'one `ref_id` twice': [{'val': [RECORD, {**RECORD, 'bbox': [11, 10, 20, 20]}]}],
    '`require_masks=True` and no mask in the split': [one(mask=...)],
}


@pytest.mark.parametrize('wrong', ANNOTATIONS)
def test_annotations(wrong, tmp_path):
    phrases = quoted('Annotations')[wrong]
    path = tmp_path / 'instances.json'
    for content, phrase in zip(ANNOTATIONS[wrong], phrases, strict=True):
        path.write_text(json.dumps(content))
        with pytest.raises(UserInputError) as error:
            if 'require_masks' in wrong:
                RefSegDataset(ann_file=str(path), split='val', require_masks=True, pipeline=[])
            else:
                load_split(path, 'test' if 'no such split' in wrong else 'val')
        assert phrase in str(error.value)
        assert 'instances.json' in str(error.value) and '\n' not in str(error.value)


def load_image(path: Path, content: bytes | None, height: int = 48) -> None:
    if content is not None:
        path.write_bytes(content)
    LoadRefImage().transform(dict(img_path=str(path), height=height, width=64, img_id=7))


def unpickle(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    load_pickle(path)


IMAGE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
JPEG = cv2.imencode('.jpg', IMAGE)[1].tobytes()
FILES = {
    'missing image': lambda path: load_image(path, None),
    'truncated image': lambda path: load_image(path, JPEG[:900]),
    'file that is no image': lambda path: load_image(path, b'<html>not found</html>'),
    'empty file': lambda path: load_image(path, b''),
    'image of another size than its record says': lambda path: load_image(path, JPEG, height=90),
    'pickle that would run code': lambda path: unpickle(path, b"cos\nsystem\n(S'touch executed'\ntR."),
    'truncated or foreign pickle': lambda path: unpickle(path, b'\x80\x02]'),
    'vocabulary or word vectors that are not there': Vocabulary.load,
}


@pytest.mark.parametrize('wrong', FILES)
def test_files(wrong, tmp_path):
    with pytest.raises(UserInputError) as error:
        FILES[wrong](tmp_path / 'the_file.json')
    for phrase in quoted('Files')[wrong]:
        assert phrase in str(error.value)
    assert 'the_file.json' in str(error.value)


def test_every_row_is_checked():
    assert set(quoted('Annotations')) == set(ANNOTATIONS)
    assert set(quoted('Files')) == set(FILES)
