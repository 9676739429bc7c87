"""What a codec leaves of a mask: the network's own way of resizing, cropping and pasting, and known masks."""

import json

import mmcv
import numpy as np
import pytest
import torch
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from mmdet.structures.mask import BitmapMasks

import mmrefseg.registration  # noqa: F401
from mmrefseg.analysis.codec_reach import measure, network_size, show, through_codec, through_window
from mmrefseg.codecs.contour_codec import ContourCodec
from mmrefseg.datasets.transforms import RefResize
from mmrefseg.models.extended.refiner import Windows
from mmrefseg.structures.boxes import xywh_to_xyxy
from mmrefseg.structures.rle import decode_mask, encode_mask
from mmrefseg.utils import UserInputError

TOOL = 'analysis_tools/codec_reach.py'


def blob(height, width, seed):
    """A connected shape somewhere, and the record that has it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    centre = rng.uniform(0.3, 0.7, 2) * (height, width)
    radius = rng.uniform(0.1, 0.3, 2) * (height, width)
    angle = np.arctan2(y - centre[0], x - centre[1])
    inside = ((y - centre[0]) / radius[0]) ** 2 + ((x - centre[1]) / radius[1]) ** 2
    mask = inside < 1 + 0.3 * np.sin(3 * angle)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = [columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]]
    return record_of(mask, [int(value) for value in box])


def record_of(mask, box, sentences=1):
    height, width = mask.shape
    said = [f'sentence {number}' for number in range(sentences)]
    known = {'ref_id': 3, 'expressions': said, 'mask': encode_mask(mask)}
    return {'height': height, 'width': width, 'bbox': box, **known}


def test_images_are_resized_as_the_pipeline_does():
    rng = np.random.default_rng(0)
    for height, width in [*rng.integers(20, 900, (200, 2)).tolist(), (1, 900), (480, 640)]:
        for scale in ((640, 640), (128, 128), (100, 300)):
            expected = tuple(max(1, side) for side in mmcv.rescale_size((width, height), scale)[::-1])
            assert network_size(height, width, scale) == expected, (height, width, scale)
    record = blob(97, 61, 1)
    results = {
        'img': np.zeros((97, 61, 3), np.uint8),
        'gt_masks': BitmapMasks([decode_mask(record['mask']).astype(np.uint8)], 97, 61),
        'gt_has_mask': np.array([True]),
    }
    results = RefResize(scale=(128, 128))(results)
    shown = show(record, (128, 128))
    np.testing.assert_array_equal(shown.mask, results['gt_masks'].masks[0])
    assert shown.scale == pytest.approx(results['scale_factor']) and shown.size == (97, 61)


@pytest.mark.parametrize('resolution', [8, 48])
@pytest.mark.parametrize('scale', [None, (128, 128), (640, 640)])
def test_a_window_is_cropped_and_pasted_as_the_refiner_does(resolution, scale):
    for seed in range(4):
        shown = show(blob(90 + seed, 120, seed), scale)
        box = torch.from_numpy(xywh_to_xyxy(shown.box))[None]
        windows = Windows.around(box, torch.zeros(1, dtype=torch.long), margin=0.15)
        shares = windows.crop(torch.from_numpy(shown.mask).double()[None, None], resolution)
        frame = windows.boxes / torch.tensor([*shown.scale, *shown.scale])
        pasted, _ = _do_paste_mask(shares.float(), frame.float(), *shown.size, skip_empty=False)
        # what lies on the limit may fall on either side of it
        certain = (pasted[0] - 0.5).abs() > 1e-4
        mask = through_window(resolution, 0.15)(shown)
        assert certain.float().mean() > 0.99 and mask.any()
        np.testing.assert_array_equal(mask[certain], (pasted[0] > 0.5)[certain])


def test_a_box_without_area_has_a_window():
    record = record_of(np.eye(20, dtype=bool), [5, 5, 0, 0])
    assert through_window(16, 0.15)(show(record, None)).shape == (20, 20)


def test_known_masks():
    square = np.zeros((64, 64), bool)
    square[8:40, 8:40] = True
    parts = square.copy()
    parts[50:58, 8:40] = True  # a quarter of the square, which no contour of one outline has
    ring = square.copy()
    ring[16:32, 16:32] = False
    codec = through_codec(ContourCodec(36, num_bins=64, sampling='even_above'))
    readouts = {'contour': codec, 'window': through_window(64, 0.1)}
    for mask, miou in ((square, 100), (parts, 80), (ring, 75)):
        found = measure([record_of(mask, [8, 8, 32, 50])], readouts)
        assert found['contour']['miou'] == pytest.approx(miou, abs=2)
        assert found['window']['miou'] > 97


def test_each_sentence_counts():
    good = record_of(np.pad(np.ones((32, 32), bool), 8), [8, 8, 32, 32], sentences=3)
    nothing = record_of(np.eye(48, dtype=bool)[::-1] & (np.arange(48) == 0), [0, 47, 1, 1])
    found = measure([good, nothing], {'contour': through_codec(ContourCodec(12))})['contour']
    assert found['pairs'] == 4 and found['p50'] == 75.0


def test_a_wrong_mask_is_said():
    record = {**record_of(np.eye(20, dtype=bool), [0, 0, 20, 20]), 'mask': {'size': [20, 20], 'counts': 'x'}}
    with pytest.raises(UserInputError, match='mask of ref_id 3: found an RLE'):
        measure([record], {})


@pytest.fixture(scope='module')
def tools(tmp_path_factory):
    from test_tools.conftest import Tools, make_data

    folder = tmp_path_factory.mktemp('codec_reach')
    make_data(folder / 'data')
    return Tools(folder)


def table(text):
    rows = [line.strip('| ').split(' | ') for line in text.splitlines() if line.startswith('| ')]
    return rows[0], {name: [float(value) for value in values] for name, *values in rows[1:]}


def test_the_tool(tools):
    done = tools.succeed(
        TOOL, 'data/instances.json', '--image-size', '0', '--points', '4', '18',
        '--sampling', 'even', 'uniform', '--windows', '48', '--split', 'val', 'testA', '--json', 'reach.json',
    )  # fmt: skip
    assert '5 objects of val testA, image the image' in done.stdout
    head, rows = table(done.stdout)
    assert head == ['readout', 'mIoU', 'P@0.5', 'P@0.6', 'P@0.7', 'P@0.8', 'P@0.9']
    assert list(rows) == [
        '4 points, even', '18 points, even', '4 points, uniform', '18 points, uniform', '48 x 48 window',
    ]  # fmt: skip
    assert rows['18 points, even'][0] > rows['4 points, even'][0] and rows['48 x 48 window'][0] > 95
    written = json.loads((tools.folder / 'reach.json').read_text())
    assert written['rows']['18 points, even']['miou'] == pytest.approx(rows['18 points, even'][0], abs=0.06)
    assert written['objects'] == 5 and written['rows']['18 points, even']['pairs'] == 8


def test_the_tool_with_a_config(tools, repo_root):
    config = repo_root / 'configs/partial_res/partial-res_tiny_m100_refshapes.py'
    done = tools.succeed(
        TOOL, 'data/instances.json', '--config', config, '--points', '18', '--json', 'c.json'
    )
    assert 'image 128 x 128, 128 bins' in done.stdout and '18 points, even_above' in done.stdout
    codec = json.loads((tools.folder / 'c.json').read_text())['codec']
    assert codec == {'num_bins': 128, 'bin_center': True, 'pad_divisor': 32}
    done = tools.succeed(
        TOOL, 'data/instances.json', '--config', config, '--bins', '64', '--no-bin-center', '--json', 'c.json'
    )
    codec = json.loads((tools.folder / 'c.json').read_text())['codec']
    assert codec == {'num_bins': 64, 'bin_center': False, 'pad_divisor': 32}


def test_refusals(tools, repo_root):
    for options, said in (
        (['--points', '2'], '--points: found 2, expected at least 3'),
        (['--windows', '1'], '--windows: found 1'),
        (['--image-size', '-1'], '--image-size: found -1'),
        (['--image-size', '1', '2', '3'], '--image-size: found 3 numbers'),
        (['--margin', 'nan'], '--margin: found nan'),
        (['--split', 'none'], "found no split 'none'"),
        (['--config', repo_root / 'configs/lavt/lavt_swin-b-w7_448_refcoco-unc.py'], 'found no ContourCodec'),
    ):
        assert said in tools.fail(TOOL, 'data/instances.json', *options)
