"""Image encoders of Hugging Face's transformers: their maps, any size of image, what is frozen, bad input."""

import copy
import json
import logging
import shutil
from types import SimpleNamespace

import pytest
import torch
from hf_models import RATIO, STAGES, VIT, save_model
from mmdet.registry import MODELS
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper

from mmrefseg.engine.hooks.feature_cache_hook import FeatureCacheHook, fingerprint
from mmrefseg.utils import UserInputError

DINO = dict(model_type='dinov3_vit', **VIT)


@pytest.fixture(autouse=True)
def few_words():
    """mmengine logs every parameter that it initialises."""
    MMLogger.get_current_instance().setLevel('ERROR')


def build(model=None, **options):
    torch.manual_seed(0)
    return MODELS.build(dict(type='HFBackbone', model=None if model is None else str(model), **options))


@pytest.fixture(scope='module')
def images():
    return torch.randint(0, 256, (2, 3, 64, 96), generator=torch.Generator().manual_seed(0)).float()


@pytest.mark.parametrize(
    ('kind', 'fields'),
    [
        ('dinov2', dict(RATIO, patch_size=16)),
        ('vit', VIT),
        ('siglip_vision_model', VIT),
        ('clip', dict(vision_config=VIT, text_config=dict(hidden_size=16, num_hidden_layers=1))),
    ],
)
def test_plain_transformers_are_transformers_own(tmp_path, images, kind, fields):
    """Weights and statistics of the folder, in the one map that the pyramid is made from."""
    theirs = save_model(tmp_path, kind, (0.5, 0.25), **fields)
    theirs = getattr(theirs, 'vision_model', theirs)
    ours = build(tmp_path).eval()
    ours.init_weights()
    pixels = (images / 255 - 0.5) / 0.25
    options = {} if kind == 'dinov2' else {'interpolate_pos_encoding': True}
    with torch.no_grad():
        expected = theirs(pixel_values=pixels, **options).last_hidden_state[:, -24:]
        (found,) = ours.encode(images)
    torch.testing.assert_close(found, expected.transpose(1, 2).unflatten(2, (4, 6)), rtol=1e-4, atol=1e-5)
    assert [tuple(x.shape) for x in ours(images)] == [(2, 256, 8, 12), (2, 256, 4, 6), (2, 256, 2, 3)]


def test_stages_are_transformers_own(tmp_path, images):
    theirs = save_model(tmp_path, 'resnet', **STAGES)
    ours = build(tmp_path, strides=(4, 8, 16, 32)).eval()
    ours.init_weights()
    assert ours.out_channels == (8, 16, 24, 32) and not list(ours.pyramid.parameters())
    pixels = (images / 255 - ours.mean / 255) / (ours.std / 255)
    with torch.no_grad():
        expected = theirs(pixel_values=pixels, output_hidden_states=True).hidden_states[1:]
        for found, wanted in zip(ours(images), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('size', [(64, 64), (50, 70), (33, 96)])
@pytest.mark.parametrize(
    'config',
    [
        DINO,
        dict(model_type='dinov2', **RATIO | dict(patch_size=14, image_size=56)),
        dict(model_type='swin', embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=4),
        dict(model_type='lw_detr_vit', **RATIO),
    ],
    ids=lambda config: config['model_type'],
)
def test_images_of_any_size(config, size):
    """A map has the image's size over its stride, rounded up, whatever patches and windows there are."""
    model = build(config=config, out_channels=(8, 12, 16))
    maps = model(255 * torch.rand(1, 3, *size))
    sides = [(channels, -(-size[0] // s), -(-size[1] // s)) for channels, s in ((8, 8), (12, 16), (16, 32))]
    assert [tuple(x.shape[1:]) for x in maps] == sides
    assert model.out_channels == (8, 12, 16)


def test_every_parameter_learns():
    """What no map depends on is frozen: data-parallel training would stop at it."""
    for config in (
        dict(model_type='siglip', vision_config=VIT),
        dict(model_type='bit', **STAGES, num_groups=4),
    ):
        model = build(config=config)
        sum(x.square().sum() for x in model(255 * torch.rand(1, 3, 64, 64))).backward()
        learn = [parameter for parameter in model.parameters() if parameter.requires_grad]
        assert learn and all(parameter.grad is not None for parameter in learn)


@pytest.mark.parametrize(
    ('frozen', 'blocks', 'embeddings'),
    [(True, [], False), (1, [1], False), (0, [0, 1], False), (False, [0, 1], True)],
)
def test_frozen(frozen, blocks, embeddings):
    model = build(config=DINO, frozen=frozen).train()
    still = {f'model.layer.{i}': i not in blocks for i in range(2)} | {'embeddings': not embeddings}
    for name, kept in still.items():
        part = model.encoder.get_submodule(name)
        assert part.training == (not kept), name
        learn = [key for key, parameter in part.named_parameters() if parameter.requires_grad]
        assert bool(learn) == (not kept), name
    (x,) = model.encode(255 * torch.rand(1, 3, 64, 64))
    assert x.requires_grad == (frozen is not True)
    assert all(parameter.requires_grad for parameter in model.pyramid.parameters())
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    sum(item.square().sum() for item in model(255 * torch.rand(1, 3, 64, 64))).backward()
    optimizer.step()
    after = model.encoder.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    for name, kept in still.items():
        assert any(key.startswith(f'{name}.') for key in moved) == (not kept), name


def test_kept_features_are_told_apart():
    """FeatureCacheHook's key: other maps of the same network, or other statistics of pixels, are others."""
    config = dict(model_type='resnet', **STAGES)
    models = [build(config=config), build(config=config), build(config=config, strides=(8, 16))]
    models.append(build(config=config, normalize=False))
    prints = [fingerprint(model) for model in models]
    assert prints[0] == prints[1] and len(set(prints)) == 3


def test_frozen_features_are_kept(tmp_path, images):
    """FeatureCacheHook: the encoder computes an image once, its pyramid learns each time."""
    backbone = build(config=DINO, frozen=True).train()
    plain = [x.detach() for x in backbone(images)]
    hook = FeatureCacheHook(tmp_path)
    hook.before_run(
        SimpleNamespace(model=torch.nn.ModuleDict({'backbone': backbone}), logger=logging.getLogger())
    )
    for computed in (2, 0):
        maps = backbone(images)
        assert hook.cache.said().startswith(f'features: {2 - computed} images read, {computed} computed')
        for found, expected in zip(maps, plain, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)
        maps[0].sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.pyramid.levels[0].parameters())
    hook.after_run(None)


def test_layer_wise_rates():
    """Half the rate of the next block; the pyramid, and what has no layers, at the full one."""
    model = torch.nn.Module()
    model.backbone, model.head = build(config=DINO), torch.nn.Linear(2, 2)
    config = dict(
        constructor='LayerDecayConstructor',
        optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.0),
        paramwise_cfg=dict(layer_decay=0.5, custom_keys={'backbone.encoder': dict(lr_mult=0.1)}),
    )
    wrapper = build_optim_wrapper(model, copy.deepcopy(config))
    rates = {id(p): group['lr'] for group in wrapper.param_groups for p in group['params']}
    expected = {'embeddings': 0.0125, 'model.layer.0': 0.025, 'model.layer.1': 0.05, 'norm': 0.1}
    for part, rate in expected.items():
        learn = [p for p in model.backbone.encoder.get_submodule(part).parameters() if p.requires_grad]
        assert learn and {round(rates[id(p)], 9) for p in learn} == {rate}, part
    assert {rates[id(p)] for p in (*model.head.parameters(), *model.backbone.pyramid.parameters())} == {1.0}
    model.other = build(config=DINO)
    config['paramwise_cfg']['layer_decay'] = {'other': 0.5}
    wrapper = build_optim_wrapper(model, copy.deepcopy(config))
    rates = {id(p): group['lr'] for group in wrapper.param_groups for p in group['params']}
    norms = [{rates[id(p)] for p in part.encoder.norm.parameters()} for part in (model.backbone, model.other)]
    first = [part.encoder.get_parameter('embeddings.cls_token') for part in (model.backbone, model.other)]
    assert norms == [{0.1}, {1.0}] and [rates[id(p)] for p in first] == [0.1, 0.125]
    for wrong in (2, {'other': 2}, {'language_model': 0.5}, {'other': 'a'}):
        config['paramwise_cfg']['layer_decay'] = wrong
        with pytest.raises(
            UserInputError, match=r'layer_decay=.*, expected a number above 0, at most 1, for al'
        ):
            build_optim_wrapper(model, config)


def test_one_size_of_image():
    """Position codes that cannot be resized: an error, or images are resized and maps back."""
    config = dict(model_type='hiera', embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, image_size=[64, 64])
    model = build(config=config)
    assert [tuple(x.shape[-2:]) for x in model(255 * torch.rand(1, 3, 64, 64))] == [(8, 8), (4, 4), (2, 2)]
    with pytest.raises(
        UserInputError, match=r'found images of 96 x 64 pixels, expected 64 x 64.*resize=True'
    ):
        model(255 * torch.rand(1, 3, 64, 96))
    resized = build(config=config, resize=True)(255 * torch.rand(1, 3, 64, 96))
    assert [tuple(x.shape[-2:]) for x in resized] == [(8, 12), (4, 6), (2, 3)]


def test_images_are_normalised_once():
    model = build(config=DINO)
    with pytest.raises(UserInputError, match=r'values down to -2\.0, expected RGB in 0\.\.255.*mean=None'):
        model(torch.full((1, 3, 64, 64), -2.0))
    plain = build(config=DINO, normalize=False)
    assert torch.isfinite(plain(torch.full((1, 3, 64, 64), -2.0))[0]).all()


def test_a_checkpoint_holds_the_encoder(tmp_path, images):
    """Testing needs the folder's config, not its weights."""
    save_model(tmp_path, 'dinov2', **RATIO)
    trained = build(tmp_path, frozen=True).eval()
    trained.init_weights()
    (tmp_path / 'model.safetensors').unlink()
    again = build(tmp_path, frozen=True).eval()
    again.load_state_dict(trained.state_dict())
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(again(images), trained(images), strict=True))


# --- bad input


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(), r'neither model nor config\.model_type'),
        (dict(model='no/such/folder'), 'no such folder, expected a folder, or the name of a model'),
        (
            dict(model='facebook/dinov3-vitb16-pretrain-lvd1689m'),
            'of that name in the cache.* with: hf download facebook/dinov3-vitb16-pretrain-lvd1689m',
        ),
        (dict(config=dict(model_type='dinov3')), "model_type 'dinov3' .did you mean .*dinov3_vit"),
        (dict(config=dict(model_type='bert')), "'bert', which has no vision tower.*HFTextEncoder"),
        (dict(config=DINO | dict(hiden_size=8)), "field 'hiden_size' .did you mean hidden_size"),
        (dict(config=DINO | dict(num_attention_heads=3)), 'gives no map of an image of 128 x 64 pixels'),
        (dict(config=dict(model_type='timm_backbone')), 'TimmBackbone requires the timm library'),
        (dict(config=dict(model_type='vit_mae', **VIT)), "'vit_mae', which gives no map"),
        (dict(config=DINO, frozen=3), 'found frozen=3, expected True, False, or 0 to 2 of its blocks'),
        (dict(config=DINO, strides=(12,)), 'stride 12 from maps of strides .16,.'),
        (dict(config=DINO, out_channels=(8, 8)), '2 out_channels for 3 strides'),
        (dict(config=DINO, out_channels=-3), 'out_channels=-3, expected numbers from 1, or None'),
        (dict(config=DINO, out_channels='256'), "out_channels='256', expected numbers"),
        (dict(config=DINO, strides=8), 'strides=8, expected numbers of pixels, such as .8, 16, 32.'),
        (dict(config=DINO, strides=()), r'strides=\(\), expected numbers of pixels'),
        (dict(config=DINO, strides=(0, 8)), r'strides=\(0, 8\), expected numbers of pixels'),
        (dict(config=DINO, strides=(32, 16, 8)), r'strides=\(32, 16, 8\), .*finest first'),
        (dict(config=DINO | dict(patch_size=0)), 'fields that do not fit .*division'),
    ],
)
def test_bad_options(options, sentence):
    with pytest.raises(UserInputError, match=sentence) as caught:
        build(**options)
    assert '\n' not in str(caught.value)


def test_a_number_is_no_model():
    with pytest.raises(UserInputError, match='HFBackbone: found model=5, expected a folder'):
        MODELS.build(dict(type='HFBackbone', model=5))


@pytest.mark.parametrize('content', [dict(image_mean=[0.5, 0.5]), dict(image_mean=0.5, image_std='x')])
def test_statistics_of_the_folder_that_are_none(tmp_path, content):
    """Pixels of another mean than the model was trained with would go unnoticed."""
    save_model(tmp_path, 'dinov2', **RATIO)
    (tmp_path / 'preprocessor_config.json').write_text(json.dumps(content))
    with pytest.raises(
        UserInputError, match=r'preprocessor_config\.json: found image_mean=.* three numbers each'
    ):
        build(tmp_path)


def test_folder_without_config(tmp_path):
    with pytest.raises(UserInputError, match=r'no config\.json'):
        build(tmp_path)
    (tmp_path / 'config.json').write_text('[]')
    with pytest.raises(UserInputError, match='found model_type None'):
        build(tmp_path)


@pytest.mark.parametrize('damage', ['none', 'pickle', 'cut', 'other'])
def test_weights_that_cannot_be_used(tmp_path, damage):
    theirs = save_model(tmp_path, 'dinov2', **RATIO)
    file = tmp_path / 'model.safetensors'
    if damage in ('none', 'pickle'):
        file.unlink()
    if damage == 'pickle':
        torch.save(theirs.state_dict(), tmp_path / 'pytorch_model.bin')
    if damage == 'cut':
        file.write_bytes(file.read_bytes()[:2000])
    options = dict(config=dict(hidden_size=24)) if damage == 'other' else {}
    sentence = dict(
        none='found no weights, expected model.safetensors; fetch',
        pickle='found weights as pickle only.*allow_pickle=True',
        cut='files that cannot be read',
        other='tensors missing or of another shape',
    )[damage]
    with pytest.raises(UserInputError, match=sentence):
        build(tmp_path, **options).init_weights()
    if damage == 'pickle':
        model = build(tmp_path, allow_pickle=True)
        model.init_weights()
        assert torch.equal(model.encoder.layernorm.weight, theirs.layernorm.weight)


def test_a_config_names_no_code(tmp_path):
    """Code of a checkpoint and kernels from elsewhere are not what a config may ask for."""
    save_model(tmp_path, 'dinov2', **RATIO)
    file = tmp_path / 'config.json'
    content = json.loads(file.read_text())
    content |= dict(
        auto_map=dict(AutoModel='evil.Model'), attn_implementation='somebody/kernel', dtype='bfloat16'
    )
    file.write_text(json.dumps(content))
    model = build(tmp_path)
    model.init_weights()
    assert model.encoder.config._attn_implementation in ('sdpa', 'eager')
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_model_in_the_cache(tmp_path, monkeypatch):
    """By its name, from where `hf download` has put it."""
    from huggingface_hub import constants

    snapshot = tmp_path / 'models--somebody--small' / 'snapshots' / ('0' * 40)
    save_model(tmp_path / 'made', 'dinov2', **RATIO)
    shutil.copytree(tmp_path / 'made', snapshot)
    (snapshot.parents[1] / 'refs').mkdir()
    (snapshot.parents[1] / 'refs' / 'main').write_text('0' * 40)
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path))
    (snapshot.parents[1] / 'refs' / 'refs' / 'pr').mkdir(parents=True)
    (snapshot.parents[1] / 'refs' / 'refs' / 'pr' / '1').write_text('0' * 40)
    assert build('somebody/small@refs/pr/1').folder == snapshot
    with pytest.raises(UserInputError, match='hf download somebody/small --revision other --exclude'):
        build('somebody/small@other')
    model = build('somebody/small')
    model.init_weights()
    assert model.folder == snapshot
