"""Folded batch norms and channels last change nothing but the time."""

import copy
import pickle

import pytest
import torch
from golden_seqtr import load_golden
from mmdet.registry import MODELS
from mmengine.config import Config
from test_seqtr import run_loss, run_predict
from tiny_seqtr import PARTIAL, build_tiny, make_batch, tiny_config
from torch import nn

from mmrefseg.models.acceleration.folding import FoldedCopies, fold_batch_norms
from mmrefseg.runs.config import set_fuse_conv_bn
from mmrefseg.utils import UserInputError


def stir_norms(model):
    """Statistics, scales and shifts that a fold must not lose."""
    generator = torch.Generator().manual_seed(3)

    def uniform(tensor, low, high):
        tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                uniform(module.running_mean, -1, 1)
                uniform(module.running_var, 0.5, 3)
                uniform(module.weight, 0.5, 1.5)
                uniform(module.bias, -0.5, 0.5)
    return model


def assert_close(ours, theirs, tolerance=1e-4):
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


def test_folded_copy_of_a_backbone():
    model = stir_norms(build_tiny())
    before = copy.deepcopy(model.backbone.state_dict())
    folded = fold_batch_norms(model.backbone)
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not [p for p in folded.parameters() if p.requires_grad]
    x = torch.rand(2, 3, 64, 96) * 4 - 2
    with torch.no_grad():
        for ours, theirs in zip(folded(x), model.backbone(x), strict=True):
            assert ours.is_contiguous(memory_format=torch.channels_last)
            assert_close(ours, theirs)
    for key, value in model.backbone.state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.parametrize('name', ['D_partial_res_ray18'])
def test_real_size_predictions_are_the_same(golden_dir, name):
    golden = load_golden(golden_dir, name)
    model = golden.model
    stages = {}
    with torch.no_grad():
        for fuse in (False, True):
            model.test_cfg['fuse_conv_bn'] = fuse
            vision = model.extract_vision(golden.images)
            language = model.language_model(golden.token_ids)
            fused, token = model.neck.fuse(vision, language, torch.arange(2))
            masks = model.head.predict(model.head.encode(fused, token, golden.sizes), keep_logits=True).masks
            stages[fuse] = vision, masks
    assert not torch.equal(stages[True][0], stages[False][0])  # another way, indeed
    assert_close(stages[True][0], stages[False][0])
    assert_close(stages[True][1].logits, stages[False][1].logits)
    assert torch.equal(stages[True][1].tokens, stages[False][1].tokens)
    assert torch.equal(stages[True][1].tokens, torch.from_numpy(golden.arrays['seq_out_mask']))


def test_the_switch_changes_no_prediction_and_follows_the_weights():
    plain = stir_norms(build_tiny(**PARTIAL, with_box=True))
    fused = copy.deepcopy(plain)
    fused.test_cfg['fuse_conv_bn'] = True
    keys = list(plain.state_dict())

    def same():
        for one, other in zip(
            run_predict(plain, make_batch()), run_predict(fused, make_batch()), strict=True
        ):
            one, other = one.pred_instances, other.pred_instances
            torch.testing.assert_close(one.scores, other.scores, rtol=1e-4, atol=1e-6)
            assert torch.equal(one.bboxes, other.bboxes) and torch.equal(one.masks, other.masks)
        return one.scores

    scores = [same()]
    stir = stir_norms(build_tiny(seed=5, **PARTIAL, with_box=True)).state_dict()
    for model in (plain, fused):
        model.load_state_dict(stir)
    scores.append(same())
    for model in (plain, fused):
        with torch.no_grad():
            model.backbone.layers[3].bn.bias.add_(1.0)
    scores.append(same())
    for model in (plain, fused):  # as mmengine's EMAHook, which swaps weights before model.eval()
        model.backbone.layers[3].bn.bias.data.mul_(-2.0)
        model.eval()
    scores.append(same())
    assert len({float(score.sum()) for score in scores}) == 4
    assert list(fused.state_dict()) == keys
    assert list(pickle.loads(pickle.dumps(fused)).state_dict()) == keys


def test_copies_are_made_once():
    model, copies = build_tiny(), FoldedCopies()
    first = copies(model.backbone)[0]
    assert copies(model.backbone)[0] is first
    model.eval()
    model.backbone.layers[0].conv.weight.data = model.backbone.layers[0].conv.weight.data.clone()
    assert copies(model.backbone)[0] is not first


def test_frozen_layers_fold_in_training():
    """Losses, gradients and statistics are those of the plain layers."""
    config = tiny_config(**PARTIAL)
    config['backbone']['frozen_layers'] = 10
    results = []
    for fold in (False, True):
        config['backbone']['fold_frozen'] = fold
        torch.manual_seed(0)
        model = stir_norms(MODELS.build(copy.deepcopy(config))).train()
        seen = []
        first = model.backbone.layers[0]  # a copy has its hook, too
        first.register_forward_hook(lambda module, *_, seen=seen, first=first: seen.append(module is first))
        loss = run_loss(model, make_batch())['loss_mask']
        loss.backward()
        assert seen == [not fold]
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        results.append((loss.detach(), gradients, model.state_dict()))
    (loss, gradients, state), (folded_loss, folded_gradients, folded_state) = results
    torch.testing.assert_close(folded_loss, loss, rtol=1e-5, atol=0)
    assert len(gradients) > 50 and folded_gradients.keys() == gradients.keys()
    assert 'backbone.layers.11.conv.weight' in gradients and 'backbone.layers.9.conv.weight' not in gradients
    largest = max(gradient.abs().max() for gradient in gradients.values())
    for name, gradient in gradients.items():
        torch.testing.assert_close(folded_gradients[name], gradient, rtol=1e-3, atol=1e-5 * float(largest))
    for name, value in state.items():
        torch.testing.assert_close(folded_state[name], value, rtol=1e-4, atol=1e-5)


def test_drifting_frozen_layers_are_not_folded():
    config = tiny_config(**PARTIAL)
    config['backbone'].update(frozen_layers=6, norm_eval=False, fold_frozen=True)
    model = MODELS.build(config).train()
    before = model.backbone.layers[0].bn.running_mean.clone()
    run_loss(model, make_batch())
    assert not torch.equal(before, model.backbone.layers[0].bn.running_mean)


def test_the_option_of_the_tools():
    config = Config(dict(model=dict(type='SeqTR', test_cfg=dict(confine_to_box=True))))
    set_fuse_conv_bn(config)
    assert config.model.test_cfg == dict(confine_to_box=True, fuse_conv_bn=True)
    with pytest.raises(UserInputError, match=r"--fuse-conv-bn: .*'MaskRCNN'"):
        set_fuse_conv_bn(Config(dict(model=dict(type='MaskRCNN'))))
