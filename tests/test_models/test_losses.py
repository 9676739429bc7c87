"""Losses against plain loops and the original's numbers."""

import json

import numpy as np
import pytest
import torch

from mmrefseg.models.extended.auxiliary_heads import (
    BoxCellLoss,
    CellCategoryLoss,
    WordLoss,
    box_coverage,
    cell_labels,
)
from mmrefseg.models.losses.gaussian_label_loss import SequenceGaussianLabelLoss
from mmrefseg.models.losses.label_smoothing_loss import SequenceLabelSmoothingLoss


@pytest.mark.parametrize('smoothing', [0.1, 0.0, 0.3])
def test_label_smoothing_equals_the_original(golden_dir, smoothing):
    facts = np.load(golden_dir / 'seqtr' / 'I_facts_partial.npz')
    logits = torch.from_numpy(facts['ls_logits']).requires_grad_()
    targets = torch.from_numpy(facts['ls_targets'])
    weight = torch.from_numpy(facts['ls_weight']).reshape(3, 7)
    loss = SequenceLabelSmoothingLoss(smoothing)
    assert loss(logits, targets, weight).item() == pytest.approx(
        float(facts[f'ls_loss_neg{smoothing}_f64']), rel=1e-6
    )
    plain = float(facts[f'ls_loss_noweight_neg{smoothing}_f64'])
    assert loss(logits, targets).item() == pytest.approx(plain, rel=1e-6)
    assert json.loads((golden_dir / 'seqtr' / 'I_facts_partial.json').read_text())['label_smooth']


def test_gaussian_labels_by_a_plain_loop():
    bins, sigma = 9, 1.5
    logits = torch.randn(2, 3, bins + 1, dtype=torch.float64)
    targets = torch.tensor([[0, 4, 9], [8, 9, 2]])
    weight = torch.rand(2, 3)
    total = 0.0
    for m in range(2):
        for place in range(3):
            token = targets[m, place].item()
            label = np.zeros(bins + 1)
            if token == bins:
                label[bins] = 1
            else:
                label[:bins] = np.exp(-((np.arange(bins) - token) ** 2) / (2 * sigma**2))
                label /= label.sum()
            log_probs = logits[m, place].float().log_softmax(-1).numpy()
            total -= weight[m, place].item() * (label * log_probs).sum()
    loss = SequenceGaussianLabelLoss(bins, sigma)(logits, targets, weight)
    assert loss.item() == pytest.approx(total / 6, rel=1e-5)


def test_box_coverage_of_cells():
    boxes = torch.tensor([[0.5, 1.0, 2.0, 1.25], [0.0, 0.0, 3.0, 2.0]])
    coverage = box_coverage(boxes, (2, 3))
    assert coverage[0].tolist() == [[0, 0, 0], [0.125, 0.25, 0]]
    assert (coverage[1] == 1).all()


def test_box_cell_loss_ignores_padding():
    loss = BoxCellLoss(4)
    cells = torch.randn(1, 2, 3, 4)
    padding = torch.zeros(1, 2, 3, dtype=torch.bool)
    padding[:, 1] = True
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    before = loss(cells, boxes, padding)
    cells[:, 1] += 5
    assert torch.equal(loss(cells, boxes, padding), before)
    cells[:, 0] += 5
    assert not torch.equal(loss(cells, boxes, padding), before)


def test_cells_get_the_category_of_the_smallest_box():
    boxes = torch.tensor([[0.0, 0.0, 48.0, 32.0], [16.0, 0.0, 32.0, 16.0]])
    labels = cell_labels(boxes, torch.tensor([3, 7]), (3, 4), (16.0, 16.0))
    assert labels.tolist() == [[3, 7, 3, -1], [3, 3, 3, -1], [-1, -1, -1, -1]]
    loss = CellCategoryLoss(2, 8)(
        torch.randn(1, 2, 3, 4), [boxes[:0]], [torch.tensor([], dtype=torch.long)], (16, 16)
    )
    assert loss.item() == 0


def test_word_loss_by_a_plain_loop():
    torch.manual_seed(0)
    loss = WordLoss(in_channels=5, vocabulary_size=9, loss_weight=0.5).double()
    features = torch.randn(2, 5, 4, 4, dtype=torch.float64)
    index = torch.tensor([0, 1, 1])
    boxes = torch.tensor(
        [[0.0, 0.0, 2.0, 1.0], [1.5, 1.0, 3.0, 4.0], [0.0, 0.0, 4.0, 4.0]], dtype=torch.float64
    )
    words = torch.tensor([[3, 5, 0], [1, 8, 8], [4, 3, 7]])
    total = 0.0
    for m in range(3):
        weight = box_coverage(boxes[m : m + 1], (4, 4))[0]
        pooled = (
            sum(weight[y, x] * features[index[m], :, y, x] for y in range(4) for x in range(4)) / weight.sum()
        )
        for word in range(9):
            said = word in words[m].tolist() and word > 2  # padding, unknown and CLS are no words
            p = torch.sigmoid(loss.classifier.weight[word] @ pooled + loss.classifier.bias[word])
            total -= torch.log(p if said else 1 - p)
    assert loss(features, index, boxes, words).item() == pytest.approx(0.5 * total.item() / 3)
