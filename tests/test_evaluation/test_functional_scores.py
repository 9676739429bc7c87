"""Reliability, calibration error, AUROC and calibration, against answers known by hand."""

import math

import numpy as np
import pytest

from mmrefseg.evaluation.calibration_file import calibrate_records, load_calibration, write_calibration
from mmrefseg.evaluation.functional.scores import (
    Calibration,
    auroc,
    cross_calibrated,
    fit_calibration,
    reliability,
)
from mmrefseg.utils import UserInputError


def test_reliability_by_hand():
    """Two masks at 0.2, of IoU 0.1 and 0.5; one at 0.3, on an edge; one at 1: gaps of 0.1, 0.3 and 0.25."""
    found = reliability(np.array([0.2, 0.2, 0.3, 1.0]), np.array([0.1, 0.5, 0.6, 0.75]))
    assert found.counts.tolist() == [0, 0, 2, 1, 0, 0, 0, 0, 0, 1]
    assert found.ious[[2, 3, 9]] == pytest.approx([0.3, 0.6, 0.75])
    assert math.isnan(found.scores[0])
    assert found.error == pytest.approx((2 * 0.1 + 0.3 + 0.25) / 4)


def test_every_edge_belongs_to_the_bin_above():
    edges = np.arange(10) / 10
    assert reliability(edges, edges).counts.tolist() == [1] * 10


def test_perfect_scores_have_no_error():
    ious = np.linspace(0, 1, 101)
    assert reliability(ious, ious).error == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ('scores', 'ious'),
    [([], []), ([0.5], [0.5, 0.5]), ([1.1], [0.5]), ([0.5], [-0.1]), ([math.nan], [0.5])],
)
def test_numbers_that_are_no_scores(scores, ious):
    with pytest.raises(ValueError, match='found'):
        reliability(np.array(scores), np.array(ious))


@pytest.mark.parametrize(
    ('scores', 'positive', 'expected'),
    [
        ([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1], 1.0),
        ([0.1, 0.2, 0.8, 0.9], [1, 1, 0, 0], 0.0),
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 0.75),
        ([0.5, 0.5, 0.5], [0, 1, 1], 0.5),
        ([0.5, 0.5, 0.9], [0, 1, 1], 0.75),
    ],
)
def test_auroc_by_hand(scores, positive, expected):
    assert auroc(np.array(scores), np.array(positive)) == pytest.approx(expected)


def test_auroc_of_one_kind():
    assert math.isnan(auroc(np.array([0.1, 0.9]), np.array([True, True])))


def test_auroc_is_the_share_of_ordered_pairs():
    rng = np.random.default_rng(0)
    scores, positive = rng.integers(0, 9, 60) / 9, rng.random(60) < 0.4
    above, below = scores[positive][:, None], scores[~positive][None]
    pairs = (above > below).mean() + 0.5 * (above == below).mean()
    assert auroc(scores, positive) == pytest.approx(pairs)


def made(masks: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Scores that are a fifth of the IoU to expect, as a sequence's probability is."""
    rng = np.random.default_rng(0)
    truth = rng.random(masks)
    return truth / 5, np.clip(truth + rng.normal(0, 0.1, masks), 0, 1)


def test_calibration_mends_scores_and_keeps_their_order():
    scores, ious = made()
    calibration = fit_calibration(scores[::2], ious[::2])
    assert calibration.problem is None
    assert reliability(scores[1::2], ious[1::2]).error > 0.3
    mended = calibration(scores[1::2])
    assert reliability(mended, ious[1::2]).error < 0.02
    assert (np.argsort(mended, kind='stable') == np.argsort(scores[1::2], kind='stable')).all()


def test_calibration_of_scores_that_mislead():
    """IoUs that fall as scores rise become their mean: nothing is known of them."""
    calibration = fit_calibration(np.linspace(0.1, 0.9, 200), np.linspace(0.9, 0.1, 200))
    assert calibration.scores == (0.0, pytest.approx(0.5), 1.0)
    assert calibration.ious == (0.0, pytest.approx(0.5), 1.0)


@pytest.mark.parametrize('score', [0.0, 0.4, 1.0])
def test_calibration_of_one_score(score):
    """All masks have one score: still a rising map, through their mean IoU where that is possible."""
    calibration = fit_calibration(np.full(50, score), np.full(50, 0.7))
    assert calibration.problem is None
    if score == 0.4:
        assert calibration(np.array([0.4])) == pytest.approx([0.7])


def test_cross_calibration_learns_nothing_from_its_own_group():
    """Two groups that contradict one another: each gets what the other says."""
    scores, groups = np.full(80, 0.5), ['a'] * 40 + ['b'] * 40
    ious = np.array([0.2] * 40 + [0.8] * 40)
    found = cross_calibrated(scores, ious, groups)
    assert found[:40] == pytest.approx(0.8) and found[40:] == pytest.approx(0.2)
    assert cross_calibrated(scores, ious, ['a'] * 80).tolist() == scores.tolist()


# -------------------------------------------------------------------------- files


def test_file_keeps_a_calibration(tmp_path):
    path = tmp_path / 'calibration.json'
    calibration = fit_calibration(*made())
    write_calibration(calibration, {'split': 'val'}, path)
    assert load_calibration(path) == calibration
    records = [{'ref_id': 1, 'sent_id': 2, 'score': 0.1}]
    assert calibrate_records(records, calibration, 'x')[0] == {
        'ref_id': 1, 'sent_id': 2, 'score': float(calibration(0.1))
    }  # fmt: skip
    assert records[0]['score'] == 0.1


@pytest.mark.parametrize(
    ('text', 'found'),
    [
        ('[]', r'found \[\]'),
        ('{"scores": [0, 1]}', 'found '),
        ('{"scores": [0, "1"], "ious": [0, 1]}', 'found '),
        ('{"scores": [0, 1], "ious": [0, 0.5, 1]}', '2 scores and 3 ious'),
        ('{"scores": [0, 1], "ious": [0, 1.5]}', 'outside of 0 to 1'),
        ('{"scores": [0, 0.5, 0.5, 1], "ious": [0, 0.1, 0.2, 1]}', 'do not rise'),
        ('{"scores": [0, 0.5], "ious": [0, 1]}', 'do not rise from 0 to 1'),
        ('{"scores": [0, 0.5, 1], "ious": [0, 1, 0.5]}', 'ious that fall'),
    ],
)
def test_files_that_are_no_calibration(tmp_path, text, found):
    path = tmp_path / 'calibration.json'
    path.write_text(text)
    with pytest.raises(UserInputError, match=f'{found}.*calibrate_scores.py --fit'):
        load_calibration(path)


@pytest.mark.parametrize('score', [None, 'high', True, 1.5, math.nan])
def test_records_without_a_score(score):
    records = [{'ref_id': 7, 'sent_id': 8, 'score': score}]
    with pytest.raises(UserInputError, match=r'ref_id 7, sent_id 8: found (no )?score'):
        calibrate_records(records, Calibration((0.0, 1.0), (0.0, 1.0)), 'predictions.json')
