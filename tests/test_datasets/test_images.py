"""One place through which images are read: names that lead astray, bombs, broken files, arrays."""

import io
import os

import cv2
import numpy as np
import pytest
from image_bombs import bmp_that_claims, png_that_claims
from PIL import Image

from mmrefseg.analysis.page import ImageReader
from mmrefseg.datasets.converters import read_json_lines
from mmrefseg.datasets.images import (
    MAX_PIXELS,
    ImagePaths,
    ImageSizes,
    as_bgr,
    decode_image,
    is_truncated,
    name_below,
    read_image,
    read_size,
)
from mmrefseg.datasets.ref_seg_dataset import RefSegDataset
from mmrefseg.datasets.transforms import LoadRefImage
from mmrefseg.utils import UserInputError, dump_json

PIXELS = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)


def encoded(image, kind='PNG', **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


BOMBS = {
    'png': png_that_claims(65000, 65000),
    'png, more than 32 bits': png_that_claims(2**31 - 1, 2**31 - 1),
    "png, above our limit and below twice Pillow's": png_that_claims(13400, 13400),
    'a strip': png_that_claims(MAX_PIXELS + 1, 1),
    'bmp': bmp_that_claims(65000, 65000),
}


@pytest.mark.parametrize('kind', BOMBS)
def test_a_bomb_is_refused_by_its_header(kind, tmp_path):
    """By everybody who reads images, before the decoder has been called."""
    path = tmp_path / 'bomb.png'
    path.write_bytes(BOMBS[kind])
    sizes = ImageSizes(tmp_path, template='{}.png')
    for read in (
        lambda: read_size(path),
        lambda: read_image(path),
        lambda: decode_image(path.read_bytes(), str(path), decode=pytest.fail),
        lambda: LoadRefImage().transform(dict(img_path=str(path))),
        lambda: LoadRefImage(imdecode_backend='pillow').transform(dict(img_path=str(path))),
        lambda: sizes({'image_id': 'bomb'}, 'here'),
    ):
        with pytest.raises(
            UserInputError, match=rf'bomb\.png: found an image that claims .* at most {MAX_PIXELS}'
        ):
            read()


def test_the_largest_image_that_is_not_refused():
    assert read_size_of(png_that_claims(MAX_PIXELS, 1)) == (1, MAX_PIXELS)


def read_size_of(content: bytes) -> tuple[int, int]:
    path = f'/proc/self/fd/{os.memfd_create("image")}'
    with open(path, 'wb') as file:
        file.write(content)
    return read_size(path)


NOISE = Image.fromarray(PIXELS)
BROKEN = {
    'png half': encoded(NOISE)[:4000],
    'jpeg half': encoded(NOISE, 'JPEG')[:900],
    'png body': encoded(NOISE)[:200] + bytes(len(encoded(NOISE)) - 212) + encoded(NOISE)[-12:],
    'gif header': b'GIF89a',
    'text': b'hello',
    'nothing': b'',
}


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
@pytest.mark.parametrize('kind', BROKEN)
def test_broken_images_are_a_sentence(kind, backend, tmp_path):
    (tmp_path / 'a.png').write_bytes(BROKEN[kind])
    with pytest.raises(UserInputError, match=r'a\.png: found a(n empty)? (truncated|file)'):
        LoadRefImage(imdecode_backend=backend).transform(dict(img_path=str(tmp_path / 'a.png')))


def test_what_follows_the_end_is_no_part_of_an_image(tmp_path):
    for kind in ('PNG', 'JPEG'):
        whole = encoded(NOISE, kind)
        for tail in (b'\0' * 500, b'<html>' * 100):
            assert not is_truncated(whole + tail)
            np.testing.assert_array_equal(decode_image(whole + tail, 'here'), decode_image(whole, 'here'))
    np.testing.assert_array_equal(decode_image(encoded(NOISE) + b'\0' * 500, 'here'), PIXELS[..., ::-1])


def test_names_stay_below_their_folder(tmp_path):
    images = tmp_path / 'images'
    (images / 'sub').mkdir(parents=True)
    for path in (tmp_path / 'x.png', images / 'sub' / 'y.png', images / 'back\\slash.png'):
        NOISE.save(path)
    (images / 'link.png').symlink_to(tmp_path / 'x.png')
    good = {
        'sub/y.png': 'sub/y.png',
        'sub\\y.png': 'sub/y.png',
        'back\\slash.png': 'back\\slash.png',
        'sub/../sub/y.png': 'sub/../sub/y.png',
        str(images / 'sub/y.png'): str(images / 'sub/y.png'),
        'link.png': 'link.png',
        'a..b.png': 'a..b.png',
        'new\nline.png': 'new\nline.png',
    }
    assert {name: name_below(images, name, 'here') for name in good} == good
    for name in (
        '../x.png',
        '..',
        '../../x.png',
        'sub/../../x.png',
        '..\\x.png',
        str(tmp_path / 'x.png'),
        '/etc/passwd',
    ):
        with pytest.raises(UserInputError, match='leads out of'):
            name_below(images, name, 'here')
        with pytest.raises(UserInputError, match='leads out of'):
            ImagePaths(str(images), None)({'image_id': 1, 'file_name': name}, 'here')
    with pytest.raises(UserInputError, match='leads out of'):
        ImagePaths(str(images), '{}.png')({'image_id': '../x'}, 'here')
    assert name_below('', '/data/x.png', 'here') == '/data/x.png'
    for name, found in (
        (5, 'file_name 5'),
        (['a'], 'file_name'),
        ('', "file_name ''"),
        ('a\0b', 'NUL'),
        ('\ud800', 'half'),
    ):
        with pytest.raises(UserInputError, match=found):
            name_below(images, name, 'here')


RECORD = {'image_id': 1, 'height': 48, 'width': 64, 'bbox': [1, 1, 9, 9], 'expressions': ['x']}


def test_a_record_reads_no_image_outside(tmp_path):
    """Data set, converter and failure study."""
    (tmp_path / 'images').mkdir()
    NOISE.save(tmp_path / 'x.png')
    dump_json({'train': [{**RECORD, 'file_name': '../x.png'}]}, tmp_path / 'a.json')
    with pytest.raises(UserInputError, match='leads out of'):
        RefSegDataset('a.json', data_root=str(tmp_path), data_prefix=dict(img_path='images'))
    line = {'image': '../x.png', 'expression': 'x', 'bbox': [1, 1, 9, 9]}
    dump_json(line, tmp_path / 'a.jsonl')
    with pytest.raises(UserInputError, match='leads out of'):
        read_json_lines(tmp_path / 'a.jsonl', tmp_path / 'images')
    reader = ImageReader(str(tmp_path / 'images'), [{**RECORD, 'ref_id': 0, 'file_name': '../x.png'}])
    with pytest.raises(UserInputError, match='leads out of'):
        reader.path(type('Case', (), {'ref_id': 0}))


def test_names_from_windows_are_found(tmp_path):
    (tmp_path / 'images' / 'train').mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'images/train/a.png'), PIXELS)
    dump_json({'train': [{**RECORD, 'file_name': 'train\\a.png'}]}, tmp_path / 'a.json')
    dataset = RefSegDataset(
        'a.json', data_root=str(tmp_path), data_prefix=dict(img_path='images'), pipeline=[LoadRefImage()]
    )
    np.testing.assert_array_equal(dataset[0]['img'], PIXELS)
    dump_json({'image': 'train\\a.png', 'expression': 'x', 'bbox': [1, 1, 9, 9]}, tmp_path / 'a.jsonl')
    record = read_json_lines(tmp_path / 'a.jsonl', tmp_path / 'images').splits['train'][0]
    assert (record['file_name'], record['height'], record['width']) == ('train/a.png', 48, 64)


def test_sizes_of_what_is_no_image_list(tmp_path):
    for content in (
        [1],
        {},
        {'images': None},
        {'images': [{}]},
        {'images': [{'id': [1], 'height': 1, 'width': 1}]},
    ):
        dump_json(content, tmp_path / 'a.json')
        with pytest.raises(UserInputError, match='no list "images"'):
            ImageSizes(instances=tmp_path / 'a.json')
    dump_json({'images': [{'id': 1, 'height': 48, 'width': 64}]}, tmp_path / 'a.json')
    sizes = ImageSizes(instances=tmp_path / 'a.json')
    assert sizes({'image_id': 1}, 'here') == (48, 64)
    for image_id in ([1], None, 1.5):
        with pytest.raises(UserInputError, match='image_id'):
            sizes({'image_id': image_id}, 'here')


def test_arrays_and_pil_images_are_what_their_files_would_be(tmp_path):
    """What an inferencer is given in memory."""
    picture = Image.fromarray(PIXELS[..., ::-1])
    images = {
        'grey': (PIXELS[..., 0], picture.getchannel('B')),
        'one channel': (PIXELS[..., :1], picture.getchannel('B')),
        'colour': (PIXELS, picture),
        'alpha': (np.dstack([PIXELS, PIXELS[..., 0]]), picture),
        'PIL': (picture, picture),
        'PIL grey': (picture.convert('L'), picture.convert('L')),
        'PIL palette': (picture.convert('P'), picture.convert('P')),
        'PIL bitmap': (picture.convert('1'), picture.convert('1')),
    }
    for name, (image, saved) in images.items():
        saved.save(tmp_path / 'a.png')
        found = as_bgr(image)
        assert found.shape == (48, 64, 3) and found.dtype == np.uint8, name
        np.testing.assert_array_equal(found, read_image(tmp_path / 'a.png'), err_msg=name)
    turned = picture.copy()
    turned.getexif()[0x0112] = 6
    assert as_bgr(turned).shape == (64, 48, 3)


@pytest.mark.parametrize(
    'image', [None, b'', 3, PIXELS / 255, PIXELS[None], PIXELS[:0], PIXELS[..., :2], PIXELS > 9]
)
def test_what_is_no_image(image):
    with pytest.raises(UserInputError, match='image: found a'):
        as_bgr(image)
