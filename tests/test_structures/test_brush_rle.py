"""Label Studio's brush masks, against what thi.ng/rle-pack itself writes."""

import numpy as np
import pytest

from mmrefseg.structures.brush_rle import brush_problem, decode_brush, encode_brush

GOLDEN = list(
    bytes.fromhex(
        '000009d8391bff02430002622ff01322ff022a2ff03ef3f7fe8b0002ae2ff021a2ff03762ff03a73f7fe8b00004e2ff0'
        '3fa2ff00d62ff00c7177fc60192fff458001fb17f801f17f80c317f800f9fbff4580002517f815717f81d717f819d9fb'
        'ff81538000'
    )
)


def test_what_the_original_writes_is_read():
    """Encoded by @thi.ng/rle-pack 3.2.12: noise in red and green, the mask in alpha, so that chunks of words
    and runs of all sizes come, and begin within a pixel."""
    expected = np.zeros((9, 70), bool)
    expected[2:7, 5:40] = True
    expected[4, 20] = False
    np.testing.assert_array_equal(decode_brush(GOLDEN, 9, 70), expected)


@pytest.mark.parametrize('shape', [(1, 1), (3, 5), (1, 70_000), (120, 160), (37, 53)])
def test_round_trip(shape):
    rng = np.random.default_rng(0)
    noise = rng.random(shape) < 0.5
    blocks = np.zeros(shape, bool)
    blocks[shape[0] // 3 : -(shape[0] // 4) or None, shape[1] // 3 :] = True
    for mask in (noise, blocks, ~blocks, np.zeros(shape, bool), np.ones(shape, bool)):
        codes = encode_brush(mask)
        assert all(0 <= code <= 255 for code in codes)
        np.testing.assert_array_equal(decode_brush(codes, *shape), mask)


def test_what_the_original_reads():
    """The same header and first run as of @thi.ng/rle-pack for 2 x 3 pixels in the mask: 24 words of 255."""
    bits = f'{24:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}' + f'1{2:02b}{23:08b}{255:08b}'
    bits += '0' * (-len(bits) % 8)
    expected = [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]
    assert encode_brush(np.ones((2, 3), bool)) == expected


def test_other_codes_are_told():
    codes = encode_brush(np.ones((4, 5), bool))
    bad = {
        'no list': ('abc', 'run lengths'),
        'nothing': ([], r'run lengths \[\]'),
        'text': (['1'] * 20, 'no bytes'),
        'beyond a byte': ([*codes[:-1], 256], 'no bytes'),
        'cut off': (codes[:-2], 'end in the middle'),
        'too long a run': ([*codes[:7], 0xFF, 0xFF, 0xFF, 0xFF], 'go on beyond the 80 words'),
    }
    for value, found in bad.values():
        with pytest.raises(ValueError, match=found):
            decode_brush(value, 4, 5)
        problem, mask = brush_problem(value, 4, 5)
        assert mask is None and problem.expected == '4 x 5 x 4 words in the run lengths of a brush'
    with pytest.raises(ValueError, match='run lengths of 80 words'):
        decode_brush(codes, 5, 5)
    assert brush_problem(codes, 4, 5)[0] is None
