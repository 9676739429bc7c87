"""Uploads and sentences, checked like any file; what is found."""

import json
import zipfile

import cv2
import numpy as np
import pytest
from image_bombs import png_that_claims

from mmrefseg.app.trying import LONGEST_SENTENCE, MOST_BYTES, MOST_SENTENCES, find, read_photo, read_sentences
from mmrefseg.utils import UserInputError


def test_find(proposer, made, tmp_path):
    photo = sorted((made[0] / 'images').iterdir())[0]
    answer = find(proposer, photo, 'the red star\n\n the zebra \nthe red star', 0.0, tmp_path)
    assert [row[0] for row in answer.rows] == ['the red star', 'the zebra']
    assert 'unknown: zebra' in answer.note and 'the predicted IoU' in answer.note
    assert all(picture.shape == (720, 720, 3) for picture, _ in answer.pictures)
    with zipfile.ZipFile(answer.archive) as archive:
        names = archive.namelist()
        assert {'predictions.json', 'masks/1.png', 'drawings/2.jpg'} <= set(names)
        assert json.loads(archive.read('predictions.json'))['images'][0]['file_name'] == photo.name
        mask = cv2.imdecode(np.frombuffer(archive.read('masks/1.png'), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert mask.shape == (128, 128) and set(np.unique(mask)) == {0, 255}
    nothing = find(proposer, photo, 'the red star', 1.0, tmp_path)
    assert nothing.rows[0][2] == 'nothing found' and 'unknown' not in nothing.note


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        (' \n ', 'found none'),
        (None, 'found none'),
        ('\n'.join(map(str, range(MOST_SENTENCES + 1))), f'at most {MOST_SENTENCES}'),
        ('a' * (LONGEST_SENTENCE + 1), f'at most {LONGEST_SENTENCE}'),
        ('half \ud800', 'half a character'),
    ],
)
def test_sentences_that_are_refused(text, said):
    with pytest.raises(UserInputError) as error:
        read_sentences(text)
    assert said in str(error.value)


def test_photos_that_are_refused(tmp_path):
    with pytest.raises(UserInputError, match='choose a photo first'):
        read_photo(None)
    bad = tmp_path / 'a.png'
    bad.write_bytes(b'no image')
    with pytest.raises(UserInputError, match=r'^a\.png: found a file that cannot be decoded'):
        read_photo(bad)
    bad.write_bytes(png_that_claims(60_000, 60_000))
    with pytest.raises(UserInputError, match='nothing was decoded'):
        read_photo(bad)
    with open(bad, 'wb') as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(UserInputError, match='at most 50'):
        read_photo(bad)
