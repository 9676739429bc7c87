"""LAVT's gates on encoders of Hugging Face's transformers, and detectors on them."""

import copy

import pytest
import torch
from hf_models import STAGES, VIT
from mmdet.registry import MODELS
from mmengine.config import Config
from test_lavt import SENTENCES, WORDS, sample

from mmrefseg.utils import UserInputError

SWIN = dict(embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=4)
ENCODERS = {
    'resnet': dict(model_type='resnet', **STAGES),
    'swin': dict(model_type='swin', **SWIN),
    'swinv2': dict(model_type='swinv2', **SWIN),
    'convnext': dict(model_type='convnext', hidden_sizes=[8, 16, 24, 32], depths=[1] * 4),
}
PLAIN = dict(model_type='dinov3_vit', **VIT)


def build(config, **options):
    torch.manual_seed(0)
    encoder = dict(config=config, **options.pop('encoder', {}))
    return MODELS.build(dict(type='HFLanguageBackbone', encoder=encoder, language_channels=12, **options))


def inputs(count=3):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 64, 96), generator=generator).float()
    words = torch.randn(count, 5, 12, generator=generator)
    return images, words, torch.ones(count, 5, dtype=torch.bool), torch.tensor([0, 0, 1])[:count]


def last_map(backbone, images):
    """The last stage's map of the plain encoder, before the norms of a backbone's maps."""
    seen = []
    with backbone._replaced(lambda i, x: seen.append(x) or x):
        backbone.encoder.run_encoder(backbone.encoder.prepare(images))
    return seen[-1]


@pytest.mark.parametrize('kind', ENCODERS)
def test_gates_in_the_stages(kind):
    """What a gate makes is what the next stage reads; each expression has its own maps."""
    model = build(ENCODERS[kind]).eval()
    assert model.staged and [gate.gate is None for gate in model.gates] == [False] * 3 + [True]
    images, words, mask, index = inputs()
    maps = model(images, words, mask, index)
    sides = [(3, c, 64 // s, 96 // s) for c, s in zip(model.out_channels, (4, 8, 16, 32), strict=True)]
    assert [tuple(x.shape) for x in maps] == sides
    assert not torch.allclose(maps[3][0], maps[3][1]), 'two expressions of one image have one map'
    maps[3].square().sum().backward()
    reached = [gate.fusion.key.weight.grad is not None for gate in model.gates]
    assert reached == [True] * 4, 'the last map does not depend on the first gates'


@pytest.mark.parametrize('kind', ENCODERS)
def test_closed_gates_change_nothing(kind):
    """tanh(0): the encoder's own maps, stage by stage; and no hook is left behind."""
    model = build(ENCODERS[kind]).eval()
    images, words, mask, index = inputs()
    with torch.no_grad():
        plain = last_map(model, images)
        for gate in model.gates[:3]:
            gate.gate[-2].weight.zero_()
        seen = []
        model.gates[3].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
        model(images, words, mask, index)
        torch.testing.assert_close(seen[0], plain[index], rtol=1e-4, atol=1e-5)
        model.encoder.run_encoder(model.encoder.prepare(images))
    assert len(seen) == 1
    copy.deepcopy(model)


def test_late_gates():
    """A plain encoder and a frozen one see each image once; parts of the images can be taken."""
    for model in (build(PLAIN), build(ENCODERS['swin'], encoder=dict(frozen=True))):
        assert not model.staged
        images, words, mask, index = inputs()
        maps = model.forward_image(images)
        assert maps.evidence.shape[:3] == (2, 4, 6) and maps.device == images.device
        both = model.forward_language(maps, words, mask, index)
        alone = model.forward_language(maps[1:2], words[2:], mask[2:], torch.zeros(1, dtype=torch.long))
        assert [tuple(x.shape[-2:]) for x in both] == [(16, 24), (8, 12), (4, 6), (2, 3)]
        for all_rows, row in zip(both, alone, strict=True):
            torch.testing.assert_close(all_rows[2:], row, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('config', [PLAIN, ENCODERS['swin']], ids=['late', 'stages'])
@pytest.mark.parametrize('sentences', ['each', 'cat', 'avg'])
def test_lavt(config, sentences):
    """Every parameter that learns has a gradient; the four ways to predict."""
    torch.manual_seed(0)
    backbone = dict(
        type='HFLanguageBackbone', encoder=dict(config=config, out_channels=8), language_channels=12
    )
    channels = (8,) * 4 if config is PLAIN else (8, 16, 32, 64)
    model = MODELS.build(
        dict(
            type='LAVT',
            data_preprocessor=dict(type='DetDataPreprocessor', mean=None, std=None, bgr_to_rgb=True),
            backbone=backbone,
            language_model=dict(
                type='WordEncoder', vocabulary=dict(words=WORDS), embed_dims=6, hidden_dims=6
            ),
            decode_head=dict(type='LAVTHead', in_channels=channels, channels=8),
            test_cfg=dict(sentences=sentences, chunk_size=2),
        )
    )
    images, samples = (
        inputs()[0],
        [sample(SENTENCES, ref_ids=[0, 0, 1], shape=(64, 96)), sample(['left'], shape=(64, 96))],
    )
    model.train().loss(images, samples)['loss_mask'].backward()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    with torch.no_grad():
        results = model.eval().predict(images, samples)
    assert [len(item.pred_instances.masks) for item in results] == [3, 1]


def test_gates_that_cannot_be():
    with pytest.raises(
        UserInputError, match=r"gates='stages' in 'dinov3_vit', expected an encoder of four stages"
    ):
        build(PLAIN, gates='stages')
    with pytest.raises(UserInputError, match="gates='early', expected one of auto, stages, late"):
        build(PLAIN, gates='early')


def test_mask_rcnn(repo_root):
    """By config alone, with mmdet's FPN behind the maps of either kind of encoder."""
    for config in (PLAIN, ENCODERS['convnext']):
        torch.manual_seed(0)
        model = Config.fromfile(repo_root / 'configs/mask_rcnn/mask-rcnn_tiny_refshapes.py').model
        model.data_preprocessor.update(mean=None, std=None, bgr_to_rgb=True)
        model.backbone = dict(type='HFBackbone', config=config, strides=(4, 8, 16), out_channels=16)
        model.neck.in_channels = [16] * 3
        built = MODELS.build(model)
        item = sample(['one', 'two'], shape=(64, 96))
        item.gt_instances.labels = torch.tensor([0, 1])
        item.set_metainfo(dict(batch_input_shape=(64, 96), pad_shape=(64, 96)))
        losses = built.loss(inputs()[0][:1], [item])
        loss, _ = built.parse_losses(losses)
        loss.backward()
        assert torch.isfinite(loss) and {'loss_mask', 'loss_bbox'} <= losses.keys()
        learned = [p for p in built.backbone.encoder.parameters() if p.grad is not None]
        assert learned and any(p.grad.abs().sum() > 0 for p in learned)
        results = built.eval().predict(inputs()[0][:1], [item], rescale=False)
        assert results[0].pred_instances.masks.shape[1:] == (64, 96)
