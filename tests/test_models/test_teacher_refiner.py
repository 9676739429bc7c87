"""The mean teacher: who follows whom, which masks teach."""

import numpy as np
import pytest
import torch

from mmrefseg.models.extended.teacher_refiner import TeacherRefiner

SIDE = 16


@pytest.fixture
def refiner() -> TeacherRefiner:
    torch.manual_seed(0)
    return TeacherRefiner(size=SIDE, channels=4, depth=2, burn_in=0, momentum=0.9).train()


def inside_of(low: int, high: int) -> torch.Tensor:
    inside = torch.zeros(1, SIDE, SIDE)
    inside[:, low:high, low:high] = 1
    return inside


def test_it_starts_as_the_network_and_follows_it(refiner):
    own, average = refiner.classifier.weight, refiner.teacher.classifier.weight
    assert torch.equal(own, average) and not average.requires_grad
    before = average.clone()
    with torch.no_grad():
        own += 1
    refiner._follow()
    assert torch.allclose(average, before + 0.1)
    assert not refiner.teacher.training


@pytest.mark.parametrize(('low', 'high', 'accepted'), [(4, 12, 1), (2, 14, 0)])
def test_masks_that_fit_their_boxes_teach(refiner, monkeypatch, low, high, accepted):
    """A mask as wide as its box is accepted; in a larger box it is not."""
    taught = inside_of(4, 12) * 20 - 10
    monkeypatch.setattr(refiner.teacher, 'forward', lambda images, coarse=None: taught)
    logits = torch.zeros(1, SIDE, SIDE, requires_grad=True)
    rows = torch.tensor([True])
    losses = refiner.box_losses(logits, torch.zeros(1, 3, SIDE, SIDE), inside_of(low, high), rows)
    assert losses.keys() == {'loss_teacher', 'accepted'}
    assert losses['accepted'] == accepted
    assert losses['loss_teacher'].item() == pytest.approx(accepted * np.log(2), abs=1e-6)
    losses['loss_teacher'].backward()
    assert (logits.grad[taught > 0] < 0).all() == bool(accepted)


def test_what_it_is_unsure_of_teaches_nothing(refiner, monkeypatch):
    taught = inside_of(4, 12) * 20 - 10
    taught[:, 8] = 0.3  # a probability of 0.57
    monkeypatch.setattr(refiner.teacher, 'forward', lambda images, coarse=None: taught)
    logits = torch.zeros(1, SIDE, SIDE, requires_grad=True)
    box = inside_of(4, 12)
    refiner.box_losses(logits, torch.zeros(1, 3, SIDE, SIDE), box, torch.tensor([True]))[
        'loss_teacher'
    ].backward()
    assert not logits.grad[:, 8].any() and logits.grad[:, 7].any()


def test_not_before_the_burn_in_and_not_of_known_masks(refiner, monkeypatch):
    taught = inside_of(4, 12) * 20 - 10
    monkeypatch.setattr(refiner.teacher, 'forward', lambda images, coarse=None: taught)
    arguments = (torch.zeros(1, SIDE, SIDE), torch.zeros(1, 3, SIDE, SIDE), inside_of(4, 12))
    assert refiner.box_losses(*arguments, torch.tensor([False]))['loss_teacher'] == 0
    refiner.burn_in = 1
    assert refiner.box_losses(*arguments, torch.tensor([True]))['loss_teacher'] == 0


def test_a_step(refiner):
    """With the boxes' own losses beside it; the strong view has other colours, the same shapes."""
    refiner.with_boxes = True
    images, boxes = torch.rand(1, 3, 64, 64), torch.tensor([[16.0, 16, 48, 48]])
    losses = refiner.loss(
        images, boxes, torch.zeros(1, dtype=torch.long), [torch.zeros(1, 1, 1)], torch.tensor([False])
    )
    assert {'loss_teacher', 'loss_projection', 'loss_affinity'} <= losses.keys()
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    shown = torch.rand(2, 3, SIDE, SIDE)
    seen = refiner.strong_view(shown)
    assert not torch.allclose(seen, shown)
    flat = (shown.flatten(2), seen.flatten(2))
    correlation = [
        torch.corrcoef(torch.stack([a, b]))[0, 1] for a, b in zip(*(x[0] for x in flat), strict=True)
    ]
    assert min(correlation) > 0.999
