"""EfficientNet-Lite0: published ImageNet weights in our backbone say what is in real pictures."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from real_weights import weights_or_skip

from mmrefseg.checkpoints.conversion_report import write_checkpoint
from mmrefseg.checkpoints.from_efficientnet import convert_efficientnet_lite, read_efficientnet_lite
from mmrefseg.experiments.real_weights import EFFICIENTNET_LITE0
from mmrefseg.models.backbones.efficientnet_lite import PIXEL_MEAN, PIXEL_STD
from mmrefseg.utils import UserInputError

# Pictures of tiny_coco -> ImageNet's class of what COCO has annotated in them, and the share that it gets.
SEEN = {
    'train2017/000000384553.jpg': (385, 0.893),  # Indian elephant
    'val2017/000000314294.jpg': (386, 0.856),  # African elephant
    'train2017/000000360772.jpg': (861, 0.891),  # toilet seat
    'train2017/000000191381.jpg': (861, 0.881),
    'val2017/000000331352.jpg': (861, 0.883),
    'val2017/000000565778.jpg': (705, 0.819),  # passenger car, of a train
    'train2017/000000309022.jpg': (651, 0.834),  # microwave, an oven to COCO
    'val2017/000000174482.jpg': (671, 0.404),  # mountain bike
}
TOLERANCE = 0.015  # decoders of JPEG differ a little


@pytest.fixture(scope='module')
def published():
    folder = weights_or_skip(EFFICIENTNET_LITE0)
    return read_efficientnet_lite(folder / next(iter(EFFICIENTNET_LITE0.files)))


@pytest.fixture(scope='module')
def report(published):
    return convert_efficientnet_lite(published)


@pytest.fixture(scope='module')
def pictures(test_data):
    """RGB in 0..255, (B, 224, 224, 3): the middle, as Lite0's evaluation crops it."""
    rows = []
    for name in SEEN:
        image = cv2.imread(str(test_data / 'tiny_coco' / name))[..., ::-1]
        height, width = image.shape[:2]
        side = int(224 / 256 * min(height, width))
        y, x = (height - side + 1) // 2, (width - side + 1) // 2
        crop = np.ascontiguousarray(image[y : y + side, x : x + side])
        rows.append(cv2.resize(crop, (224, 224), interpolation=cv2.INTER_CUBIC))
    return np.stack(rows).astype(np.float32)


def classify(state, published, pixels):
    """Shares (B, 1000) by the original classifier behind our backbone."""
    backbone = MODELS.build(dict(type='EfficientNetLite', out_indices=(6,))).eval()
    backbone.load_state_dict(state)
    with torch.no_grad():
        x = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
        pooled = backbone(x)[0].mean((2, 3))
    return (pooled @ published['_fc.weight'].T + published['_fc.bias']).softmax(1)


def shares(state, published, pixels):
    """What the expected class of each picture gets."""
    found = classify(state, published, pixels.astype(np.float32))
    return found[range(len(SEEN)), [label for label, _ in SEEN.values()]]


def test_every_weight_has_a_place(report):
    report.require_complete('efficientnet-lite0')
    assert len(report.state) == 294 and set(report.dropped) == {'_fc.weight', '_fc.bias'}
    assert sum(value.numel() for key, value in report.state.items() if 'num_batches' not in key) == 3_413_024


def test_it_sees_what_is_there(report, published, pictures):
    found = classify(report.state, published, (pictures - PIXEL_MEAN) / PIXEL_STD)
    assert found.argmax(1).tolist() == [label for label, _ in SEEN.values()]
    expected = torch.tensor([share for _, share in SEEN.values()])
    torch.testing.assert_close(found[range(len(SEEN)), found.argmax(1)], expected, atol=TOLERANCE, rtol=0)


def test_wrong_pixels_and_wrong_places_are_noticed(report, published, pictures):
    """What the expectations above are worth: each mistake breaks them by far."""
    expected = torch.tensor([share for _, share in SEEN.values()])
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    mistakes = {
        'BGR': (pictures[..., ::-1] - PIXEL_MEAN) / PIXEL_STD,
        "ImageNet's usual mean and deviation": (pictures - mean) / std,
        '0 to 1': pictures / 255,
    }
    for name, pixels in mistakes.items():
        found = shares(report.state, published, pixels)
        assert (found - expected).abs().max() > 4 * TOLERANCE, name
    swapped = dict(report.state)
    a, b = 'layers.5.1.depthwise_conv.conv.weight', 'layers.5.2.depthwise_conv.conv.weight'
    swapped[a], swapped[b] = swapped[b], swapped[a]
    found = shares(swapped, published, (pictures - PIXEL_MEAN) / PIXEL_STD)
    assert found.mean() < expected.mean() - 0.2


def test_into_a_backbone(report, tmp_path):
    """From the converted file by ``init_cfg``: maps of strides 8, 16, 32; frozen layers stay as they are."""
    write_checkpoint(tmp_path / 'lite0.pth', report.state, original='EfficientNet-Lite0')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'lite0.pth'))
    backbone = MODELS.build(dict(type='EfficientNetLite', frozen_stages=7, init_cfg=init))
    backbone.init_weights()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    maps = backbone.train()(torch.randn(2, 3, 64, 96))
    assert [tuple(x.shape) for x in maps] == [(2, 40, 8, 12), (2, 112, 4, 6), (2, 320, 2, 3)]
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
    key = 'layers.3.1.linear_conv.conv.weight'
    assert torch.equal(before[key], report.state[key])


def test_layers_that_are_not_built_are_left_out_without_a_word(report, tmp_path, capsys):
    write_checkpoint(tmp_path / 'lite0.pth', report.state, original='lite0')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'lite0.pth'))
    backbone = MODELS.build(dict(type='EfficientNetLite', out_indices=(2, 3), init_cfg=init))
    backbone.init_weights()
    said = capsys.readouterr()
    assert 'unexpected' not in said.out + said.err
    backbone.load_state_dict(report.state)  # strict
    torch.testing.assert_close(
        backbone.state_dict()['layers.0.conv.weight'], report.state['layers.0.conv.weight']
    )
    other = {**report.state, 'layers.7.conv.weight': torch.zeros(1)}
    with pytest.raises(RuntimeError, match=r'layers\.7\.conv'):
        backbone.load_state_dict(other)


def test_some_layers_learn():
    backbone = MODELS.build(dict(type='EfficientNetLite', frozen_stages=3)).train()
    sum(x.mean() for x in backbone(torch.randn(2, 3, 64, 64))).backward()
    learned = {name.split('.')[1] for name, value in backbone.named_parameters() if value.grad is not None}
    assert learned == {'3', '4', '5'}
    assert not backbone.layers[2].training and backbone.layers[3].training


@pytest.mark.parametrize(
    ('content', 'said'),
    [({'state_dict': {'a': torch.zeros(1)}}, 'no _conv_stem.weight'), (None, 'no such file')],
)
def test_bad_files(content, said, tmp_path):
    path = tmp_path / 'other.pth'
    if content is not None:
        torch.save(content, path)
        with pytest.raises(UserInputError, match=said):
            read_efficientnet_lite(path)
    backbone = MODELS.build(
        dict(type='EfficientNetLite', init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    )
    with pytest.raises(UserInputError, match=said if content is None else 'missing or of another shape'):
        backbone.init_weights()
