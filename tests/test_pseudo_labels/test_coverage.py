"""Descriptors tell apart what is different; orders cover, are nested, and equal the plain greedy rule."""

import numpy as np
import pytest

from mmrefseg.pseudo_labels.coverage import (
    METHODS,
    box_size,
    choose_order,
    colour_histogram,
    facility_order,
    join,
    k_center_order,
    one_hot,
    thumbnail,
    whole_box,
)


def test_colours_inside_the_box_alone():
    image = np.zeros((20, 30, 3), np.uint8)
    image[5:10, 5:10] = 255
    white, mixed = colour_histogram(image, [5, 5, 5, 5]), colour_histogram(image, [5, 5, 10, 5])
    assert white.nonzero()[0].tolist() == [63] and white[63] == 1
    assert mixed[[0, 63]] == pytest.approx(np.sqrt([0.5, 0.5])) and np.linalg.norm(mixed) == pytest.approx(1)


@pytest.mark.parametrize(
    'box', [[-5, -5, 3, 3], [100, 100, 5, 5], [3, 3, 0, 0], [2.5, 2.5, 1e6, 1e6], [29, 19, 1, 1]]
)
def test_any_box_has_a_pixel(box):
    left, top, right, bottom = whole_box(box, 20, 30)
    assert 0 <= left < right <= 30 and 0 <= top < bottom <= 20
    assert np.isfinite(colour_histogram(np.zeros((20, 30, 3), np.uint8), box)).all()
    assert thumbnail(np.ones((20, 30), bool), box).shape == (64,)
    assert np.isfinite(box_size(box, 20, 30)).all()


def test_a_shape_is_the_same_at_any_size():
    small, large = np.zeros((64, 64), bool), np.zeros((64, 64), bool)
    small[8:16, 8:12] = True
    large[16:48, 16:32] = True
    np.testing.assert_allclose(thumbnail(small, [8, 8, 8, 8]), thumbnail(large, [16, 16, 32, 32]))
    assert thumbnail(small, [8, 8, 8, 8]).mean() == pytest.approx(0.5)


def test_groups_vary_alike():
    rng = np.random.default_rng(0)
    groups = {'large': 1000 * rng.random((50, 3)), 'small': rng.random((50, 7)), 'constant': np.ones((50, 2))}
    joined = join(groups)
    assert joined.shape == (50, 12) and np.allclose(joined.mean(axis=0), 0, atol=1e-5)
    assert [np.square(part).sum(1).mean() for part in (joined[:, :3], joined[:, 3:10], joined[:, 10:])] == (
        pytest.approx([1, 1, 0], abs=1e-4)
    )
    assert one_hot(['b', 'a', 'b']).tolist() == [[1, 0], [0, 1], [1, 0]]


def clusters(number=5, size=20, seed=0):
    """(features, cluster of each): groups of alike objects."""
    rng = np.random.default_rng(seed)
    centres = 10 * np.eye(number, 8)
    features = (centres[:, None] + 0.1 * rng.standard_normal((number, size, 8))).reshape(-1, 8)
    return features.astype(np.float32), np.repeat(np.arange(number), size)


@pytest.mark.parametrize('method', METHODS[:2])
def test_each_group_is_covered_first(method):
    features, group = clusters()
    needs = np.linspace(0.4, 0.6, len(group))
    order = choose_order(method, features, needs, 5)
    assert sorted(group[order]) == [0, 1, 2, 3, 4]
    # with two groups drawn, the other three
    drawn = [0, 1, 45]
    assert sorted(group[choose_order(method, features, needs, 3, drawn)]) == [1, 3, 4]


def test_the_group_in_need_is_covered_first():
    features, group = clusters()
    needs = np.where(group == 3, 0.9, 0.1)
    assert group[facility_order(features, needs, 1)] == [3]
    # more of the same group only where it needs more than all others together
    assert set(group[facility_order(features, needs, 5)]) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize('method', METHODS)
def test_orders_are_nested_and_leave_the_drawn_out(method):
    rng = np.random.default_rng(3)
    features, needs = rng.standard_normal((60, 4)).astype(np.float32), rng.random(60)
    drawn = [4, 8, 50]
    whole = choose_order(method, features, needs, 57, drawn, seed=1)
    assert len(whole) == 57 and sorted([*whole, *drawn]) == list(range(60))
    for number in (1, 7, 30):
        assert choose_order(method, features, needs, number, drawn, seed=1) == whole[:number]


def test_lazy_is_greedy():
    """Against the rule as it reads: of all that are left, the one that adds most."""
    rng = np.random.default_rng(5)
    features, needs = rng.standard_normal((40, 3)).astype(np.float32), rng.random(40)
    distances = ((features[:, None] - features[None]) ** 2).sum(2)
    like = np.exp(-distances / (np.median(distances[distances > 1e-6]) / 4))
    covered, expected = np.zeros(40), []
    for _ in range(15):
        gains = (np.maximum(like - covered, 0) * needs).sum(1)
        gains[expected] = -1
        expected.append(int(gains.argmax()))
        covered = np.maximum(covered, like[expected[-1]])
    assert facility_order(features, needs, 15) == expected


def test_landmarks_stand_for_all():
    features, group = clusters(size=60)
    order = facility_order(features, np.full(300, 0.5), 5, landmarks=50)
    assert sorted(group[order]) == [0, 1, 2, 3, 4]


def test_equal_objects_and_no_need():
    same = np.zeros((6, 3), np.float32)
    assert sorted(facility_order(same, np.full(6, 0.5), 6)) == list(range(6))
    assert facility_order(same, np.array([0.1, 0.9, 0.5, 0, 0, 0]), 2, drawn=[5])[0] == 1
    assert sorted(k_center_order(same, np.zeros(6), 6)) == list(range(6))
    assert choose_order('none', same, np.array([0.1, 0.9, 0.5, 0.9, 0, 0]), 3) == [1, 3, 2]
