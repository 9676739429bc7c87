"""Configs of Hugging Face's encoders: a matrix of encoders, shares of masks and data sets; they train."""

import re

import pytest
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from shipped import DATASETS, PATHS, load
from small_encoders import in_small

from mmrefseg.experiments import encoder_trials

ENCODERS = ('dinov3-b', 'siglip2-b', 'convnext-b', 'swin-b')
# Small ones of the same type in place of the published.
SMALL = {
    'dinov3-b': ('dinov3_vit', 'modernbert'),
    'siglip2-b': ('siglip', 'siglip'),
    'convnext-b': ('convnext', 'roberta'),
    'swin-b': ('swin', 'bert'),
}


@pytest.fixture(scope='module')
def trial(tmp_path_factory):
    with DefaultScope.overwrite_default_scope('mmdet'):
        return encoder_trials.Trial(tmp_path_factory.mktemp('trial'))


def test_the_matrix():
    few = [f'm{share}{stage}' for share in ('01', '05') for stage in ('', '-pseudo', '-retrain')]
    names = {f'encoder-res_{e}_{m}_{d}' for e in ENCODERS for m in ('rec', 'm100', *few) for d in DATASETS}
    names |= {f'encoder-res_dinov3-b-frozen_{m}_{d}' for m in ('m01', 'm05') for d in DATASETS}
    assert len(names) == 4 * 8 * 3 + 6
    assert {name for name in PATHS if name.startswith('encoder-res_')} == names


@pytest.mark.parametrize('encoder', ENCODERS)
def test_few_masks_are_another_file(encoder):
    """Objects without a mask teach their box: they are not left out."""
    for share in ('m01', 'm05'):
        few, full = (load(f'encoder-res_{encoder}_{m}_refcoco-unc').to_dict() for m in (share, 'm100'))
        dataset = few['train_dataloader']['dataset']
        assert dataset['ann_file'].endswith(f'instances_sample_{int(share[1:])}.json')
        assert not dataset['require_masks'] and few['model']['head']['with_box']
        few.pop('ann_file')
        dataset['ann_file'] = full['train_dataloader']['dataset']['ann_file']
        assert few == full


def test_nothing_changes_the_images_of_frozen_encoders():
    """Features are kept by the image: the pipeline is that of testing, and all are padded to one size."""
    config = load('encoder-res_dinov3-b-frozen_m05_refcoco-unc')
    steps = [step['type'] for step in config.train_dataloader.dataset.pipeline]
    assert steps == [
        'LoadRefImage',
        'DrawExpression',
        'LoadRefAnnotations',
        'RefResize',
        'EncodeContour',
        'PackRefInputs',
    ]
    assert config.train_dataloader.dataset.pipeline[3] == config.test_dataloader.dataset.pipeline[2]
    assert config.model.data_preprocessor.pad_size_divisor == max(config.resize.scale)
    assert config.model.backbone.frozen and config.model.language_model.frozen
    assert [hook['type'] for hook in config.custom_hooks] == ['FeatureCacheHook']


@pytest.mark.parametrize('encoder', ENCODERS)
def test_their_encoders_were_tried(encoder):
    """The published models are those that docs/encoders.md names for their types."""
    model = load(f'encoder-res_{encoder}_m100_refcoco-unc').model
    image, text = SMALL[encoder]
    published = encoder_trials.IMAGE_ENCODERS[image][0], encoder_trials.TEXT_ENCODERS[text][0]
    assert (model.backbone.model, model.language_model.model) == published


@pytest.mark.parametrize('encoder', ['siglip2-b', 'swin-b'])
def test_they_train(encoder, trial):
    """The config's network with small encoders of the same types; encoders learn at a tenth of the rate."""
    config = load(f'encoder-res_{encoder}_m100_refcoco-unc')
    model = in_small(config.model.to_dict(), str(trial.tokenizer))
    model['head'] |= dict(codec=trial.codec, num_encoder_layers=1, num_decoder_layers=1)
    built = MODELS.build(model)
    trial.run(built)
    wrapper = build_optim_wrapper(built, config.optim_wrapper.copy())
    rates = {id(p): group['lr'] for group in wrapper.param_groups for p in group['params']}
    for name, parameter in built.named_parameters():
        if id(parameter) in rates:
            inside = name.startswith(('backbone.encoder.', 'language_model.encoder.'))
            assert rates[id(parameter)] == pytest.approx(5e-5 if inside else 5e-4), name


SNIPPETS = (
    'partial-res_darknet53_m100_refcoco-unc',
    'partial-res_darknet53_m100_refcoco-unc',
    'lavt_swin-b-w12_480_refcoco-unc',
    'mask-rcnn_r50-caffe_fpn_1x_coco',
)


def test_lines_of_the_page(repo_root, tmp_path):
    """Each example of docs/encoders.md fits the config that it is for; README has the first."""
    page, readme = ((repo_root / name).read_text() for name in ('docs/encoders.md', 'README.md'))
    blocks = re.findall(r'```python\n(model = .*?)```', page.partition('## Images')[0], re.DOTALL)
    assert len(blocks) == len(SNIPPETS) and blocks[0] in readme
    tokenizer = str(encoder_trials.write_tokenizer(tmp_path / 'words', ['red', 'star']))
    for name, block in zip(SNIPPETS, blocks, strict=True):
        file = tmp_path / 'config.py'
        file.write_text(f"_base_ = '{PATHS[name]}'\n{block}")
        model = Config.fromfile(str(file)).model.to_dict()
        model = in_small(model, tokenizer, share=1)
        backbone, words, neck = (model.get(part, {}) for part in ('backbone', 'language_model', 'neck'))
        if 'config' in words:
            words['config'] |= dict(hidden_size=768, num_attention_heads=12)  # as the published one has
        reads = neck.get('in_channels') or model['decode_head']['in_channels']
        if backbone['type'].startswith('HF'):
            assert tuple(MODELS.build(backbone).out_channels) == tuple(reads), name
        if words.get('type') == 'HFTextEncoder':
            wanted = neck['out_channels'] if neck else backbone['language_channels']
            assert MODELS.build(words).out_channels == wanted, name
        assert 'HF' in backbone['type'] + words.get('type', '')
