"""The same mask, as every program writes it."""

import json

import numpy as np
import pytest
from PIL import Image, ImageFilter

from mmrefseg.datasets.converters import read_json_lines
from mmrefseg.datasets.converters.mask_images import read_mask_image
from mmrefseg.structures.rle import decode_mask
from mmrefseg.utils import UserInputError

MASK = np.zeros((48, 64), bool)
MASK[10:30, 12:40] = True
MASK[20:25, 50:60] = True


def grey(low: int, high: int, dtype=np.uint8) -> Image.Image:
    return Image.fromarray(np.where(MASK, high, low).astype(dtype))


def palette(indices: np.ndarray, colours: dict[int, tuple[int, int, int]]) -> Image.Image:
    image = Image.fromarray(indices.astype(np.uint8), 'P')
    table = np.zeros((256, 3), np.uint8)
    for index, colour in colours.items():
        table[index] = colour
    image.putpalette(table.ravel().tolist())
    return image


def colour(foreground: tuple[int, ...], background: tuple[int, ...]) -> Image.Image:
    return Image.fromarray(np.where(MASK[..., None], foreground, background).astype(np.uint8))


VOC = {1: (128, 0, 0), 255: (224, 224, 192)}
WITH_VOID = np.where(MASK, 1, 0)
WITH_VOID[5:8, 5:8] = 255
MASKS = {
    'black and white': grey(0, 255),
    '0 and 1': grey(0, 1),
    '0 and 38': grey(0, 38),
    '1 bit': grey(0, 255).convert('1'),
    '16 bits': grey(0, 65535, np.uint16),
    '16 bits, 0 and 1': grey(0, 1, np.uint16),
    '32 bits': grey(0, 7, np.int32),
    'palette of PASCAL VOC': palette(WITH_VOID, VOC),
    'palette, dark colour': palette(MASK * 3, {3: (0, 0, 128)}),
    'palette, grey': palette(MASK * 3, {3: (255, 255, 255)}),
    'palette, white comes first': palette(~MASK, {0: (255, 255, 255), 1: (0, 0, 0)}),
    'red on black': colour((255, 0, 0), (0, 0, 0)),
    'dark blue on black': colour((0, 0, 90), (0, 0, 0)),
    'white on black': colour((255, 255, 255), (0, 0, 0)),
    'opaque on transparent': colour((0, 0, 0, 255), (0, 0, 0, 0)),
    'white, opaque everywhere': colour((255, 255, 255, 255), (0, 0, 0, 255)),
    'grey and alpha': colour((9, 255), (9, 0)),
    'grey, opaque everywhere': colour((1, 255), (0, 255)),
}


@pytest.mark.parametrize('name', MASKS)
def test_the_mask_is_found(name, tmp_path):
    path = tmp_path / ('m.tif' if MASKS[name].mode == 'I' else 'm.png')
    MASKS[name].save(path)
    np.testing.assert_array_equal(read_mask_image(path), MASK)


def test_other_files_than_png(tmp_path):
    grey(0, 255).save(tmp_path / 'm.jpg', quality=90)
    grey(0, 255).filter(ImageFilter.GaussianBlur(1)).save(tmp_path / 'soft.png')
    MASKS['palette of PASCAL VOC'].save(tmp_path / 'm.gif')
    for name in ('m.jpg', 'soft.png', 'm.gif'):
        differ = read_mask_image(tmp_path / name) != MASK
        assert differ.sum() <= 8, name  # the blur rounds corners


AMBIGUOUS = {
    'three objects': np.arange(4).repeat(12)[:, None].repeat(64, 1),
    'labels 1 and 2': MASK + 1,
    'a photograph in the dark': np.arange(48)[:, None].repeat(64, 1),
    'a photograph in the light': 200 + np.arange(48)[:, None].repeat(64, 1),
}


@pytest.mark.parametrize('name', AMBIGUOUS)
def test_what_nobody_can_tell_is_a_sentence(name, tmp_path):
    Image.fromarray(AMBIGUOUS[name].astype(np.uint8)).save(tmp_path / 'm.png')
    with pytest.raises(UserInputError, match=r'm\.png: found a mask image with the values \d+, \d+'):
        read_mask_image(tmp_path / 'm.png')
    palette(AMBIGUOUS['three objects'], {1: (128, 0, 0), 2: (0, 128, 0), 3: (0, 0, 128)}).save(
        tmp_path / 'm.png'
    )
    with pytest.raises(UserInputError, match='the values 0, 1, 2, 3'):
        read_mask_image(tmp_path / 'm.png')


def lines(folder, *rows) -> str:
    (folder / 'a.jsonl').write_text(''.join(f'{json.dumps(row)}\n' for row in rows))
    return folder / 'a.jsonl'


LINE = {'image': 'a.jpg', 'expression': 'left cup', 'height': 48, 'width': 64}


def test_json_lines_with_mask_images(tmp_path):
    MASKS['0 and 1'].save(tmp_path / 'm.png')
    record = read_json_lines(lines(tmp_path, {**LINE, 'mask': 'm.png'})).splits['train'][0]
    np.testing.assert_array_equal(decode_mask(record['mask']), MASK)
    assert record['bbox'] == [12, 10, 48, 20]
    grey(0, 0).save(tmp_path / 'empty.png')
    (tmp_path / 'half.png').write_bytes((tmp_path / 'm.png').read_bytes()[:70])
    (tmp_path / 'folder').mkdir()
    for mask, found in (
        ('empty.png', 'an empty mask'),
        ('none.png', 'no such image'),
        ('../m.png', 'leads out of'),
        ('half.png', 'cannot be decoded'),
        ('folder', 'a folder'),
        ('a\0.png', 'NUL'),
    ):
        with pytest.raises(UserInputError, match=found):
            read_json_lines(lines(tmp_path, {**LINE, 'mask': mask}))


def test_several_boxes_of_one_sentence(tmp_path):
    """One box around all, and each of them; a list of one is that one."""
    boxes = [[10, 12, 5, 6.5], [30, 2, 8, 8]]
    path = lines(tmp_path, {**LINE, 'bbox': boxes}, {**LINE, 'bbox': boxes[1:]}, {**LINE, 'bbox': boxes[0]})
    several, one, plain = read_json_lines(path).splits['train']
    assert several['bbox'] == [10, 2, 28, 16.5] and several['boxes'] == boxes
    assert one['bbox'] == boxes[1] and plain['bbox'] == boxes[0] and 'boxes' not in {**one, **plain}
    for bad in (
        [[1, 2, 3]],
        [[1, 2, 3, 4], [1, 2, 0, 4]],
        [[1, 2, 3, 4], [70, 2, 3, 4]],
        [[1, 2, 3, 4], 'x'],
        [[]],
    ):
        with pytest.raises(UserInputError, match='bbox'):
            read_json_lines(lines(tmp_path, {**LINE, 'bbox': bad}))


def test_letters_that_end_lines_elsewhere(tmp_path):
    text = 'the cup\u2028on the\x85left\u2029side'
    path = tmp_path / 'a.jsonl'
    row = json.dumps({**LINE, 'expression': text, 'bbox': [1, 1, 9, 9]}, ensure_ascii=False)
    path.write_text(f'{row}\r\n{row}\n', encoding='utf-8-sig', newline='')
    assert read_json_lines(path).splits['train'][0]['expressions'] == [text, text]
