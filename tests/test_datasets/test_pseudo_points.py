"""A pseudo mask's own points become its tokens."""

import numpy as np
import pytest
from test_transforms import CODEC, loaded, record

from mmrefseg.codecs.contour_codec import ContourCodec
from mmrefseg.datasets.transforms import EncodeContour, LargeScaleJitter, RefResize
from mmrefseg.utils import UserInputError

POINTS = [21.5, 30.0, 45.0, 31.25, 44.0, 54.0, 20.25, 52.0]


def tokens_of(points) -> np.ndarray:
    codec = ContourCodec(**{key: value for key, value in CODEC.items() if key != 'type'})
    return codec.encode_vertices(np.asarray(points, np.float32).reshape(-1, 2), (180, 240))


def test_points_are_resized_and_encoded_as_they_are():
    results = RefResize((240, 240))(loaded(record(1, mask_points=POINTS), record(2)))
    assert results['gt_points'][1] is None
    tokens = EncodeContour(CODEC)(results)['gt_mask_tokens']
    assert (tokens[0] == tokens_of(2 * np.array(POINTS))).all()
    assert (tokens[1] != tokens[0]).any() and (tokens[1] < 1000).all()  # sampled: six points


def test_a_codec_with_fewer_points_samples_the_mask():
    results = loaded(record(1, mask_points=POINTS * 2), record(2))
    tokens = EncodeContour(CODEC)(results)['gt_mask_tokens']
    assert (tokens[0] == tokens[1]).all()


def test_without_a_mask_points_count_for_nothing():
    results = EncodeContour(CODEC)(loaded(record(1, mask=None, mask_points=POINTS)))
    assert not results['gt_has_mask'].any() and (results['gt_mask_tokens'] == 1000).all()


def test_a_window_samples_the_mask_anew():
    results = LargeScaleJitter(out_max_size=96, jitter_min=1.0, jitter_max=1.4)(
        loaded(record(1, mask_points=POINTS))
    )
    assert 'gt_points' not in results


@pytest.mark.parametrize('points', [[1.0, 2.0, 3.0], [1.0, float('nan')], 'points', [[1, 2], [3]]])
def test_broken_points_are_one_sentence(points):
    with pytest.raises(UserInputError, match=r'mask_points .* expected finite numbers'):
        loaded(record(1, mask_points=points))
