"""Losses against plain loops and the original's numbers."""

import json

import numpy as np
import pytest
import torch

from mmrefseg.models.losses.token_losses import SequenceGaussianLabelLoss, SequenceLabelSmoothingLoss


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
        for position in range(3):
            token = targets[m, position].item()
            label = np.zeros(bins + 1)
            if token == bins:
                label[bins] = 1
            else:
                label[:bins] = np.exp(-((np.arange(bins) - token) ** 2) / (2 * sigma**2))
                label /= label.sum()
            log_probs = logits[m, position].float().log_softmax(-1).numpy()
            total -= weight[m, position].item() * (label * log_probs).sum()
    loss = SequenceGaussianLabelLoss(bins, sigma)(logits, targets, weight)
    assert loss.item() == pytest.approx(total / 6, rel=1e-5)
