"""Each signal on cases whose value is known, and how they become one need."""

import math

import numpy as np
import pytest
from pseudo_data import rectangle, to_json

from mmrefseg.pseudo_labels.teaching import (
    SIGNALS,
    box_disagreement,
    doubt,
    mask_disagreement,
    needs,
    ranks,
    rarity,
    read_weights,
    residual,
)
from mmrefseg.utils import UserInputError

WHOLE, HALF = to_json(rectangle(10, 10, 30, 30)), to_json(rectangle(10, 10, 20, 30))
NOTHING = to_json(rectangle(0, 0, 0, 0))


def test_disagreement_of_masks():
    assert mask_disagreement([WHOLE, WHOLE]) == 0.0
    assert mask_disagreement([WHOLE, HALF]) == pytest.approx(0.5)
    assert mask_disagreement([WHOLE, NOTHING]) == 1.0
    assert mask_disagreement([WHOLE, WHOLE, HALF]) == pytest.approx(1 - (1 + 0.5 + 0.5) / 3)
    assert math.isnan(mask_disagreement([WHOLE])) and math.isnan(mask_disagreement([]))


def test_disagreement_of_boxes():
    whole, half = [10, 10, 20, 20], [10, 10, 10, 20]
    assert box_disagreement([whole, whole]) == 0.0
    assert box_disagreement([whole, half]) == pytest.approx(0.5)
    assert box_disagreement([whole, [50, 50, 5, 5]]) == 1.0
    assert box_disagreement([whole, half, half]) == pytest.approx(1 - (0.5 + 0.5 + 1) / 3)
    assert math.isnan(box_disagreement([whole]))


def test_residual_is_that_of_the_best_mask():
    assert residual([2.0, 0.1]) == pytest.approx(0.05) and residual([2.0]) == 1.0
    assert math.isnan(residual([]))


def test_doubt_leaves_out_what_has_no_score():
    assert doubt([0.9, 0.7]) == pytest.approx(0.2) and doubt([math.nan, 0.5]) == 0.5
    assert math.isnan(doubt([math.nan])) and math.isnan(doubt([]))


def test_rarity():
    assert rarity(['a', 'a', 'b', 'a', 'a']).tolist() == [0, 0, 0.75, 0, 0]
    assert rarity([7, 7]).tolist() == [0, 0] and len(rarity([])) == 0


def test_ranks():
    assert ranks(np.array([3.0, 1.0, 2.0])).tolist() == [1, 0, 0.5]
    assert ranks(np.array([5.0, 1.0, 5.0, math.nan])).tolist() == [0.75, 0, 0.75, 0.5]
    assert ranks(np.array([2.0, 2.0])).tolist() == [0.5, 0.5]
    assert ranks(np.array([math.nan])).tolist() == [0.5] and len(ranks(np.zeros(0))) == 0
    values = np.random.default_rng(0).random(50)
    np.testing.assert_array_equal(ranks(values), ranks(np.exp(100 * values)))


def test_need_is_the_weighted_mean():
    signals = {'doubt': np.array([0.1, 0.2, 0.9]), 'rarity': np.array([0.6, 0.0, 0.0])}
    assert needs(signals, {'doubt': 1, 'rarity': 1}).tolist() == pytest.approx([0.4, 0.5, 0.75])
    assert needs(signals, {'doubt': 3, 'rarity': 1}).tolist() == pytest.approx([0.2, 0.5, 0.875])
    assert needs(signals, {'rarity': 2}).tolist() == pytest.approx([0.8, 0.5, 0.5])
    # a weight of what is not known changes nothing
    assert needs(signals, {'rarity': 2, 'residual': 5}).tolist() == pytest.approx([0.8, 0.5, 0.5])
    assert needs(signals, {'doubt': 0, 'rarity': 0}).tolist() == [0.5] * 3


def test_weights_are_read():
    assert read_weights([]) == dict.fromkeys(SIGNALS, 1.0)
    assert read_weights(['doubt=2.5', 'rarity=0']) == dict.fromkeys(SIGNALS, 1.0) | {
        'doubt': 2.5,
        'rarity': 0,
    }
    for text in ('doubt', 'doubt=x', 'doubt=-1', 'doubt=nan', 'doubt=inf', 'size=1', '=1'):
        with pytest.raises(UserInputError, match='--weights: found'):
            read_weights([text])
