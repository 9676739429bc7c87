"""Configs of Hugging Face's encoders: a matrix of encoders, shares of masks and data sets; they train."""

import pytest
from mmdet.registry import MODELS
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from shipped import DATASETS, PATHS, load

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
    names = {f'encoder-res_{e}_{m}_{d}' for e in ENCODERS for m in ('m01', 'm05', 'm100') for d in DATASETS}
    assert len(names) == 36
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
    model = config.model.to_dict()
    image, text = SMALL[encoder]
    del model['backbone']['model'], model['language_model']['model']
    model['backbone']['config'] = dict(model_type=image, **encoder_trials.IMAGE_ENCODERS[image][1])
    words = dict(
        config=dict(model_type=text, **encoder_trials.TEXT_ENCODERS[text][1]), tokenizer=str(trial.tokenizer)
    )
    model['language_model'] |= words
    model['head'] |= dict(codec=trial.codec, num_encoder_layers=1, num_decoder_layers=1)
    # The same relations between channels, a sixteenth of each.
    for part in ('backbone', 'language_model', 'neck', 'head'):
        for key in model[part].keys() & {'in_channels', 'out_channels'}:
            channels = model[part][key]
            model[part][key] = channels // 16 if isinstance(channels, int) else [c // 16 for c in channels]
    built = MODELS.build(model)
    trial.run(built)
    wrapper = build_optim_wrapper(built, config.optim_wrapper.copy())
    rates = {id(p): group['lr'] for group in wrapper.param_groups for p in group['params']}
    for name, parameter in built.named_parameters():
        if id(parameter) in rates:
            inside = name.startswith(('backbone.encoder.', 'language_model.encoder.'))
            assert rates[id(parameter)] == pytest.approx(5e-5 if inside else 5e-4), name
