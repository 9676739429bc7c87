"""Projections and RPP scores against decoded masks, the formula in torch and the golden numbers."""

import json

import numpy as np
import pytest
import torch
from pseudo_data import rectangle, to_json
from pycocotools import mask as coco_mask

from mmrefseg.pseudo_labels import legacy_projection_term, projection_term
from mmrefseg.pseudo_labels.projection import int_boxes, project, projection_terms
from mmrefseg.structures.rle import decode_runs


def random_masks() -> list[np.ndarray]:
    """Noise of many densities and sizes, columns, rows, single pixels, all and nothing."""
    rng = np.random.default_rng(0)
    masks = []
    for height, width in [(1, 1), (1, 9), (9, 1), (13, 7), (30, 50), (64, 40)]:
        masks += [rng.random((height, width)) < density for density in (0, 0.01, 0.1, 0.5, 0.99, 1)]
        for rows, columns in [
            (slice(0, 1), slice(None)),
            (slice(-1, None), slice(None)),
            (slice(None), slice(-1, None)),
        ]:
            mask = np.zeros((height, width), bool)
            mask[rows, columns] = True
            masks.append(mask)
        # One run over the foot of a column, as long as less and more than a column.
        for length in (2, height, height + 1, 2 * height + 1):
            flat = np.zeros(height * width, bool)
            flat[height - 1 : height - 1 + length] = True
            masks.append(flat.reshape(width, height).T)
    return masks


def sizes(masks) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.array([mask.shape for mask in masks]).T)


def term_in_torch(mask: np.ndarray, bbox) -> float:
    """Partial-RES's formula on decoded pixels, in double precision."""
    box = torch.zeros(mask.shape, dtype=torch.float64)
    left, top = int(bbox[0]), int(bbox[1])
    box[top : top + int(bbox[3]), left : left + int(bbox[2])] = 1
    pixels = torch.from_numpy(mask).double()
    term = 0.0
    for dim in (0, 1):
        x, y = pixels.amax(dim), box.amax(dim)
        term += 1 - 2 * (x * y).sum() / ((x**2).sum() + (y**2).sum() + 1e-5)
    return float(term)


def test_projections_are_those_of_the_pixels():
    masks = random_masks()
    assert len(masks) == 78
    heights, widths = sizes(masks)
    runs = decode_runs([to_json(mask)['counts'] for mask in masks], heights * widths)
    columns, rows = project(runs, heights, widths)
    for mask, across, down in zip(masks, columns, rows, strict=True):
        height, width = mask.shape
        assert (across[:width] == mask.any(axis=0)).all() and not across[width:].any()
        assert (down[:height] == mask.any(axis=1)).all() and not down[height:].any()


def test_terms_equal_the_formula_on_pixels():
    masks = random_masks()
    rng = np.random.default_rng(5)
    heights, widths = sizes(masks)
    corner = rng.uniform(0, 0.6, (len(masks), 2)) * np.stack([widths, heights], 1)
    boxes = np.concatenate(
        [corner, rng.uniform(0, 1.2, corner.shape) * np.stack([widths, heights], 1)], axis=1
    )
    runs = decode_runs([to_json(mask)['counts'] for mask in masks], heights * widths)
    terms = projection_terms(runs, boxes, heights, widths)
    expected = [term_in_torch(mask, box) for mask, box in zip(masks, boxes, strict=True)]
    assert terms == pytest.approx(expected, abs=1e-12)
    assert 0 <= terms.min() < 0.2 and terms.max() == 2.0
    one_by_one = [projection_term(to_json(mask), box) for mask, box in zip(masks, boxes, strict=True)]
    assert one_by_one == terms.tolist()


def test_extremes():
    mask = rectangle(10, 20, 40, 50)
    assert projection_term(to_json(mask), [10, 20, 30, 30]) == pytest.approx(0, abs=1e-6)
    assert projection_term(to_json(mask), [50, 0, 20, 10]) == pytest.approx(2.0)
    assert projection_term(to_json(np.zeros((60, 80))), [10, 20, 30, 30]) == 2.0
    assert projection_term(to_json(mask), [10, 20, 0.5, 0.5]) == 2.0
    # Projections do not see holes or corners: a frame of one pixel fills its box.
    frame = mask & ~rectangle(11, 21, 39, 49)
    assert projection_term(to_json(frame), [10, 20, 30, 30]) == pytest.approx(0, abs=1e-6)


def test_box_convention_is_the_originals():
    boxes = int_boxes(
        [[10.9, 5.9, 7.9, 3.9], [-3.5, 50, 20, 40], [3, 4, 0.9, 20]], np.array([60] * 3), np.array([80] * 3)
    )
    assert boxes.tolist() == [[10, 5, 17, 8], [0, 50, 17, 60], [0, 0, 0, 0]]


@pytest.mark.parametrize('counts', ['X', 'a b', 'o', 'é', 'zzzzzzzzzzzz1', '', '0' * 3])
def test_a_term_of_broken_runs_is_an_error(counts):
    with pytest.raises(ValueError):
        projection_term({'size': [60, 80], 'counts': counts}, [0, 0, 5, 5])


@pytest.fixture(scope='module')
def golden(golden_dir):
    facts = json.loads((golden_dir / 'seqtr' / 'H_choose_pseudo.json').read_text())
    rows = zip(facts['rows'], facts['predictions'], facts['input_instances']['train'], strict=True)
    # (row, predicted RLE, record); what is in the sample was never scored.
    return [(row, prediction[-1], record) for row, prediction, record in rows if not row['in_sample']]


def test_legacy_term_is_the_originals_to_the_last_bit(golden):
    """Whatever the frame; where the original fails, ours says so instead of repeating the last number."""
    scored, failed = 0, 0
    for row, rle, record in golden:
        if isinstance(record['mask'], dict):
            continue  # the original fails before it looks at the prediction
        term = legacy_projection_term(
            coco_mask.decode(rle), record['bbox'], record['height'], record['width']
        )
        if row['stale']:
            assert term is None
            failed += 1
        else:
            assert term == row['project_term']
            assert (term < 0.1) == row['accepted'] or row['exceptions']
            scored += 1
    assert scored >= 35 and failed == 12


def test_ours_follows_the_original_where_it_works(golden):
    """One part, no hole, the right frame: the two differ by the pixel that contours lose."""
    seen, decisions = 0, 0
    for row, rle, record in golden:
        right_frame = rle['size'] == [record['height'], record['width']]
        if not right_frame or row['stale'] or row['kind'] in ('two_blobs', 'hole', 'three_blobs_small'):
            continue
        term = projection_term(rle, record['bbox'])
        assert term == pytest.approx(row['project_term'], abs=0.02)
        seen += 1
        decisions += (term < 0.1) == row['accepted']
    assert seen >= 12 and decisions >= seen - 1


def test_ours_accepts_what_the_original_cannot_judge(golden):
    """Two parts or a hole: the original compares each part with the whole box."""
    kinds = {}
    for row, rle, record in golden:
        if row['kind'] in ('two_blobs', 'hole') and rle['size'] == [record['height'], record['width']]:
            kinds[row['kind']] = (row['project_term'], projection_term(rle, record['bbox']))
    assert set(kinds) == {'two_blobs', 'hole'}
    for original, ours in kinds.values():
        assert original > 0.3 and ours < 0.1


def test_empty_predictions_score_worst_here_and_were_accepted_there(golden):
    empty = [
        (row, rle, record) for row, rle, record in golden if row['kind'] == 'empty' and row['image_id'] == 1
    ]
    assert len(empty) >= 2
    for row, rle, record in empty:
        assert row['accepted'] and row['output_mask_is_ground_truth']
        assert projection_term(rle, record['bbox']) == 2.0
