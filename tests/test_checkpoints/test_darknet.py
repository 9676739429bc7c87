"""DarkNet's binary files: the original's own reading of a made-up one, round trips, and what is refused."""

import json
import zlib

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS

from mmrefseg.checkpoints.conversion_report import write_checkpoint
from mmrefseg.checkpoints.from_darknet import convert_darknet
from mmrefseg.checkpoints.from_seqtr import SEQTR_KEYS
from mmrefseg.utils import UserInputError

TINY = dict(base_channels=4, stage_blocks=(1, 1), neck_blocks=1, out_indices=(4,), frozen_layers=0)


def write_binary(path, numbers, version=(0, 2, 5), seen=2):
    header = np.array([*version, *seen] if isinstance(seen, tuple) else [*version, seen, 0], '<i4')
    path.write_bytes(header.tobytes() + np.asarray(numbers, '<f4').tobytes())
    return path


def tiny_model():
    model = MODELS.build(dict(type='DarkNet53', **TINY))
    with torch.no_grad():
        for value in (*model.parameters(), *model.buffers()):
            if value.is_floating_point():
                value.copy_(torch.rand_like(value))
    return model


def flatten(model):
    """The arrays of a network in the file's order, written down again from YOLOv3's own writer."""
    arrays = []
    for module in model.modules():
        if hasattr(module, 'conv') and hasattr(module, 'bn'):
            norm = module.bn
            arrays += [norm.bias, norm.weight, norm.running_mean, norm.running_var, module.conv.weight]
    return np.concatenate([array.detach().numpy().ravel() for array in arrays])


def test_reads_what_the_original_reads(golden_dir, tmp_path):
    """All of the 56 million numbers at their places, by checksum."""
    facts = json.loads((golden_dir / 'seqtr' / 'I_facts_seqtr.json').read_text())['darknet_weights']
    index = np.arange(facts['floats'], dtype=np.int64)
    numbers = ((index * 7919 % 10007) / 10007 - 0.5).astype(np.float32)
    report = convert_darknet(write_binary(tmp_path / 'darknet.weights', numbers))
    report.require_complete('darknet.weights')
    assert not report.left_over and not report.dropped
    compared = 0
    for key, fact in facts['params'].items():
        value = report.state[SEQTR_KEYS.rename(f'vis_enc.{key}').removeprefix('backbone.')].numpy()
        assert list(value.shape) == fact['shape'], key
        assert value.ravel()[:2].tolist() == fact['first'], key
        assert zlib.crc32(value.tobytes()) == fact['crc32'], key
        compared += 1
    assert compared == len(report.state) - 52 - 6 == 58 * 5, 'all but the counts of batches'


def test_round_trip_into_the_backbone(tmp_path):
    """From a network to a binary file, through the converter and ``init_cfg`` into another network."""
    model = tiny_model()
    report = convert_darknet(write_binary(tmp_path / 'a.weights', flatten(model)), TINY)
    report.require_complete('a.weights')
    write_checkpoint(tmp_path / 'a.pth', report.state, original='DarkNet')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'))
    again = MODELS.build(dict(type='DarkNet53', **TINY, init_cfg=init))
    again.init_weights()
    for (name, ours), theirs in zip(again.state_dict().items(), model.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name


def test_detection_layers_behind_are_dropped(tmp_path):
    """yolov3.weights goes on where DarkNet53 ends."""
    numbers = np.concatenate([flatten(tiny_model()), np.full(1234, -1.0)])
    report = convert_darknet(write_binary(tmp_path / 'yolov3.weights', numbers), TINY)
    report.require_complete('yolov3.weights')
    assert list(report.dropped.values()) == ["YOLOv3's, the last 1,234 numbers"]
    assert '1,234' in report.table()


def test_a_longer_file_of_another_network_is_refused(tmp_path):
    numbers = np.random.default_rng(0).standard_normal(len(flatten(tiny_model())) + 99)
    with pytest.raises(UserInputError, match=r'negative variances \(layers\.0\.bn\.running_var\)'):
        convert_darknet(write_binary(tmp_path / 'yolov4.weights', numbers), TINY)


def test_old_header(tmp_path):
    """Before version 0.2 the count of images has four bytes; the original would read one number late."""
    model = tiny_model()
    path = tmp_path / 'old.weights'
    path.write_bytes(np.array([0, 1, 0, 77], '<i4').tobytes() + flatten(model).tobytes())
    report = convert_darknet(path, TINY)
    report.require_complete('old.weights')
    assert torch.equal(report.state['layers.0.bn.bias'], model.layers[0].bn.bias)
    # All zeros says version 0.0 too, but is as long as the original expects.
    report = convert_darknet(write_binary(path, flatten(model), (0, 0, 0), 0), TINY)
    assert torch.equal(report.state['layers.0.bn.bias'], model.layers[0].bn.bias)


def test_short_files_miss_keys(tmp_path):
    """An ImageNet backbone has no layers 11 to 13: an error, unless they are named."""
    model = tiny_model()
    behind = sum(p.numel() for layer in model.layers[5:] for p in layer.parameters())
    behind += sum(b.numel() for layer in model.layers[5:] for b in layer.buffers() if b.ndim)
    report = convert_darknet(write_binary(tmp_path / 'conv.74', flatten(model)[:-behind]), TINY)
    with pytest.raises(UserInputError, match=r'keys missing \(layers\.5\.'):
        report.require_complete('conv.74')
    report.require_complete('conv.74', ['layers.[567].*'])
    assert not any(key.startswith('layers.5') for key in report.state)
    cut = convert_darknet(write_binary(tmp_path / 'cut', flatten(model)[:-3]), TINY)
    with pytest.raises(UserInputError, match=r'without a place here \(numbers .* 1 keys missing'):
        cut.require_complete('cut')


@pytest.mark.parametrize('content', [b'', b'PK' + bytes(30), bytes(31)])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / 'x.weights'
    path.write_bytes(content)
    with pytest.raises(UserInputError, match=r'x\.weights: found \d+ bytes that are no float32'):
        convert_darknet(path, TINY)
    with pytest.raises(UserInputError, match='no such file'):
        convert_darknet(tmp_path / 'y.weights', TINY)


def test_damaged_files_are_refused(tmp_path):
    numbers = flatten(tiny_model())
    numbers[5] = np.nan
    with pytest.raises(UserInputError, match='values that are no numbers'):
        convert_darknet(write_binary(tmp_path / 'x.weights', numbers), TINY)
