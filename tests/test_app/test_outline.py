"""Outlines: clicks, the way back, masks with and without holes."""

import numpy as np
import pytest

from mmrefseg.app.outline import MOST_VERTICES, Outline

SQUARE = [(2.0, 2.0), (8.0, 2.0), (8.0, 8.0), (2.0, 8.0)]


def test_clicks_make_a_part():
    outline = Outline(10, 12)
    for x, y in SQUARE:
        outline.add(x, y)
    assert outline.open == tuple(SQUARE) and not outline.closed and not outline.bitmap().any()
    outline.close()
    assert outline.closed and outline.parts == (tuple(SQUARE),)
    expected = np.zeros((10, 12), bool)
    expected[2:8, 2:8] = True
    assert (outline.bitmap() == expected).all()
    assert outline.mask() == [[2.0, 2.0, 8.0, 2.0, 8.0, 8.0, 2.0, 8.0]]


def test_every_change_can_be_undone():
    outline = Outline(10, 12, [SQUARE])
    changes = [
        lambda: outline.move(0, 0, 1, 1),
        lambda: outline.move_nearest(9, 9),
        lambda: outline.insert(5, 1),
        lambda: outline.remove(0, 1),
        lambda: outline.add(11, 9),
        outline.clear,
    ]
    states = []
    for change in changes:
        states.append((outline.parts, outline.open))
        change()
        assert (outline.parts, outline.open) != states[-1]
    for state in reversed(states):
        outline.undo()
        assert (outline.parts, outline.open) == state
    assert not outline.can_undo
    outline.undo()  # nothing left
    assert outline.parts == (tuple(SQUARE),)


def test_vertices_go_where_the_click_says():
    outline = Outline(10, 12, [SQUARE])
    outline.move_nearest(7.5, 9)
    assert outline.parts[0] == ((2, 2), (8, 2), (7.5, 9), (2, 8))
    outline.insert(5, 1.5)  # nearest to the upper edge
    assert outline.parts[0][1] == (5, 1.5) and len(outline.parts[0]) == 5
    outline.move(0, 0, -50, 1e9)  # not out of the photo
    assert outline.parts[0][0] == (0, 10)
    outline.move(7, 7, 1, 1)
    assert len(outline.parts) == 1
    for _ in range(3):
        outline.remove(0, 0)
    assert outline.parts == ()


def test_two_vertices_are_no_part():
    outline = Outline(10, 12)
    outline.add(1, 1)
    outline.add(5, 5)
    outline.close()
    assert outline.parts == () and outline.open == () and not outline.closed


def test_a_part_inside_another_is_a_hole():
    inner = [(4.0, 4.0), (6.0, 4.0), (6.0, 6.0), (4.0, 6.0)]
    outline = Outline(10, 12, [SQUARE, inner])
    assert outline.bitmap().sum() == 36 - 4
    mask = outline.mask()
    assert mask['size'] == [10, 12]
    again = Outline.of_annotation(mask, 10, 12)
    assert (again.bitmap() == outline.bitmap()).all() and len(again.parts) == 2


@pytest.mark.parametrize('radius', [6, 40, 300])
def test_a_mask_gets_few_vertices(radius):
    y, x = np.mgrid[: 2 * radius + 20, : 2 * radius + 40]
    disc = (x - radius - 20) ** 2 + (y - radius - 10) ** 2 < radius**2
    disc[0, 0] = True  # a crumb
    outline = Outline.of_mask(disc)
    disc[0, 0] = False
    (part,) = outline.parts
    assert 6 <= len(part) <= MOST_VERTICES
    both = outline.bitmap()
    assert (both & disc).sum() / (both | disc).sum() > 0.9


def test_an_empty_mask_has_no_outline():
    assert Outline.of_mask(np.zeros((5, 5), bool)).parts == ()
