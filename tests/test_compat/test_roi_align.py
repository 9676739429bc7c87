"""mmcv's RoIAlign on our stand-ins, against loops over samples and finite differences."""

import itertools
import math

import pytest
import torch
from mmcv.ops import RoIAlign, roi_align

ROIS = [
    [0, 1.3, 2.1, 9.2, 11.5],
    [1, -3.0, -2.0, 5.0, 4.4],  # partly outside, top left
    [1, 8.0, 8.0, 31.0, 37.0],  # partly outside, bottom right
    [0, 3.0, 3.0, 3.0, 3.0],  # no area
    [0, 60.0, 60.0, 70.0, 70.0],  # wholly outside
    [1, 0.0, 0.0, 16.0, 18.0],
]
SCALE = 0.5


def bilinear(plane, y, x):
    height, width = plane.shape
    if y < -1 or y > height or x < -1 or x > width:
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    value = 0.0
    for row, column in itertools.product((top, top + 1), (left, left + 1)):
        weight = (1 - abs(y - row)) * (1 - abs(x - column))
        if weight > 0:
            value += weight * plane[row, column].item()
    return value


def naive_roi_align(features, rois, size, scale, sampling_ratio, mode, aligned):
    out = torch.zeros(len(rois), features.shape[1], *size, dtype=torch.float64)
    for number, (image, *box) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (c * scale - (0.5 if aligned else 0) for c in box)
        width, height = (x2 - x1, y2 - y1) if aligned else (max(x2 - x1, 1), max(y2 - y1, 1))
        bin_h, bin_w = height / size[0], width / size[1]
        grid_h, grid_w = (sampling_ratio or math.ceil(b) for b in (bin_h, bin_w))
        if not grid_h * grid_w:
            continue
        for channel, h, w in itertools.product(range(features.shape[1]), range(size[0]), range(size[1])):
            values = [
                bilinear(
                    features[int(image), channel],
                    y1 + (h + (u + 0.5) / grid_h) * bin_h,
                    x1 + (w + (v + 0.5) / grid_w) * bin_w,
                )
                for u in range(grid_h)
                for v in range(grid_w)
            ]
            out[number, channel, h, w] = max(values) if mode == 'max' else sum(values) / len(values)
    return out


@pytest.fixture
def features():
    return torch.rand(2, 2, 9, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize('mode', ['avg', 'max'])
def test_equals_the_loop(features, aligned, sampling_ratio, mode):
    rois = torch.tensor(ROIS, dtype=torch.float64)
    args = ((3, 2), SCALE, sampling_ratio, mode, aligned)
    expected = naive_roi_align(features, rois, *args)
    assert expected.abs().sum() > 0
    torch.testing.assert_close(roi_align(features, rois, *args), expected, rtol=1e-9, atol=1e-9)
    single = roi_align(features.float(), rois.float(), *args)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize('mode', ['avg', 'max'])
def test_gradients(features, aligned, sampling_ratio, mode):
    rois = torch.tensor(ROIS, dtype=torch.float64)
    features = features[:, :1].clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda f: roi_align(f, rois, (2, 3), SCALE, sampling_ratio, mode, aligned), (features,)
    )


@pytest.mark.parametrize('mode', ['avg', 'max'])
def test_no_regions(features, mode):
    features.requires_grad_()
    pooled = roi_align(features, torch.zeros(0, 5, dtype=torch.float64), (7, 7), 1.0, 0, mode, True)
    assert pooled.shape == (0, 2, 7, 7)
    pooled.sum().backward()
    assert features.grad.abs().sum() == 0


def test_one_region_over_one_pixel():
    features = torch.arange(16.0).view(1, 1, 4, 4)
    # with `aligned` the centre of pixel (row 2, column 1) lies at x 1.5, y 2.5
    pooled = roi_align(features, torch.tensor([[0, 1.0, 2.0, 2.0, 3.0]]), (1, 1), 1.0, 1, 'avg', True)
    assert pooled.item() == 9


def test_module_and_half_precision(features):
    rois = torch.tensor(ROIS)
    layer = RoIAlign((7, 7), spatial_scale=SCALE, sampling_ratio=0)
    half = layer(features.half(), rois.half())
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), layer(features.float(), rois), rtol=0, atol=2e-2)


def test_many_regions_in_parts(features, monkeypatch):
    """The result does not depend on how many regions are worked on at once."""
    generator = torch.Generator().manual_seed(1)
    corner = torch.rand(50, 2, generator=generator, dtype=torch.float64) * 12
    extent = torch.rand(50, 2, generator=generator, dtype=torch.float64) * 12
    rois = torch.cat([torch.arange(50.0, dtype=torch.float64)[:, None] % 2, corner, corner + extent], dim=1)
    features.requires_grad_()

    def pool():
        pooled = roi_align(features, rois, (3, 3), 1.0, 0, 'avg', True)
        (gradient,) = torch.autograd.grad((pooled**2).sum(), features)
        return pooled.detach(), gradient

    whole = pool()
    monkeypatch.setattr('mmrefseg.compat.ops.roi_align.MAX_ENTRIES', 1)
    for parts, at_once in zip(pool(), whole, strict=True):
        torch.testing.assert_close(parts, at_once)
