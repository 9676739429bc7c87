"""An overlay shows the object as it is, at the photo's size."""

import numpy as np
import pytest

from mmrefseg.visualization.overlay import draw_referent


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)


def test_inside_nothing_is_painted_over_and_outside_is_darker(photo):
    mask = np.zeros((120, 160), bool)
    mask[40:90, 30:120] = True
    drawn = draw_referent(photo, 'the left guy   0.83', mask)
    assert drawn.shape == photo.shape and drawn.dtype == np.uint8
    assert np.array_equal(drawn[41:89, 31:119], photo[41:89, 31:119])
    far = np.ones_like(mask)
    far[30:100, 20:130] = far[:20] = far[-20:] = False
    assert 0.4 < drawn[far].mean() / photo[far].mean() < 0.7
    assert drawn[far].std(axis=1).mean() < photo[far].std(axis=1).mean()


@pytest.mark.parametrize('rows', [slice(0, 30), slice(90, 120)])
def test_the_words_are_where_the_object_is_not(photo, rows):
    mask = np.zeros((120, 160), bool)
    mask[rows, 30:120] = True
    drawn = draw_referent(photo, 'the left guy', mask)
    inner = slice(rows.start + 1, rows.stop - 1)
    assert np.array_equal(drawn[inner, 31:119], photo[inner, 31:119])


@pytest.mark.parametrize(
    ('size', 'text', 'box'),
    [
        ((1, 1), 'a', [0, 0, 1, 1]),
        ((5, 400), 'w' * 300, None),
        ((400, 5), '', [-5, 1e9, 3, 4]),
        ((64, 64), '星', None),
    ],
)
def test_small_photos_and_odd_words(size, text, box):
    for mask in (None, np.zeros(size, bool), np.ones(size, bool)):
        drawn = draw_referent(np.full((*size, 3), 200, np.uint8), text, mask, box)
        assert drawn.shape == (*size, 3)


def test_a_box_where_there_is_no_mask(photo):
    drawn = draw_referent(photo, '', None, [20, 50, 90, 100])
    assert tuple(drawn[75, 20]) == (255, 122, 0) and np.array_equal(drawn[60:90, 30:80], photo[60:90, 30:80])
