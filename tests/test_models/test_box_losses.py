"""What a box says of a mask, by hand."""

import math

import pytest
import torch

from mmrefseg.models.losses.box_losses import colour_affinity_loss, outside_loss, projection_loss

SIDE = 8


def logits_of(mask: torch.Tensor) -> torch.Tensor:
    """As sure as can be."""
    return (mask.float() * 2 - 1) * 50


def square(low: int, high: int) -> torch.Tensor:
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, low:high, low:high] = 1
    return mask


def along(low: int, high: int) -> torch.Tensor:
    line = torch.zeros(1, SIDE)
    line[:, low:high] = 1
    return line


def test_projection_of_what_touches_all_sides():
    """A cross fills a quarter of its box and has its projections."""
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, 3, 2:6] = 1
    mask[:, 2:6, 4] = 1
    assert projection_loss(logits_of(mask), along(2, 6), along(2, 6)).item() == pytest.approx(0, abs=1e-6)


def test_projection_by_hand():
    """Two of four columns and all rows: 1 - 2 * 2 / (2 + 4) of one axis."""
    mask = torch.zeros(1, SIDE, SIDE)
    mask[:, 2:6, 2:4] = 1
    value = projection_loss(logits_of(mask), along(2, 6), along(2, 6)).item()
    assert value == pytest.approx(1 - 4 / 6, abs=1e-3)


def test_outside_by_hand():
    """Logits of 0 cost log 2 each, wherever they are outside; inside costs nothing."""
    inside = square(2, 6)
    assert outside_loss(torch.zeros(1, SIDE, SIDE), inside).item() == pytest.approx(math.log(2))
    assert outside_loss(inside * 100 - 50, inside).item() == pytest.approx(0, abs=1e-6)
    everything = torch.ones(1, SIDE, SIDE)
    assert outside_loss(torch.zeros(1, SIDE, SIDE), everything).item() == 0


def test_affinity_wants_edges_where_colours_change():
    image = square(2, 6)[:, None].expand(-1, 3, -1, -1) * 2.0
    box = square(1, 7)
    at_the_edge, elsewhere = logits_of(square(2, 6)), logits_of(square(3, 6))
    assert colour_affinity_loss(at_the_edge, image, box, 0.5).item() == pytest.approx(0, abs=1e-6)
    assert colour_affinity_loss(elsewhere, image, box, 0.5).item() > 1


def test_affinity_counts_no_pairs_outside_of_the_box():
    """Neither those whose pixels both lie outside, nor those with what is beyond the window."""
    image = torch.zeros(1, 3, SIDE, SIDE)
    far = torch.zeros(1, SIDE, SIDE)
    far[:, :2, 7] = 1
    assert colour_affinity_loss(logits_of(far), image, square(5, 6), 0.5).item() == pytest.approx(0, abs=1e-6)
    whole = torch.ones(1, SIDE, SIDE)
    assert colour_affinity_loss(logits_of(whole), image, whole, 0.5).item() == pytest.approx(0, abs=1e-6)


def test_affinity_of_undecided_pixels_by_hand():
    """Two pixels at one half are on one side with a probability of one half."""
    value = colour_affinity_loss(torch.zeros(1, SIDE, SIDE), torch.zeros(1, 3, SIDE, SIDE), square(2, 6), 0.5)
    assert value.item() == pytest.approx(math.log(2))
