"""What makes networks faster changes nothing but the time, can be taken away, and follows the weights."""

import ast
import copy
import pickle
from collections import Counter

import pytest
import test_late_lavt
import test_lavt
import torch
from golden_seqtr import load_golden
from mmcv.cnn import ConvModule
from mmdet.registry import MODELS
from test_box_frame import ROI
from test_seqtr import run_loss, run_predict
from tiny_seqtr import PARTIAL, build_tiny, make_batch, tiny_config
from torch import nn

from mmrefseg.models.acceleration import PIECES, accelerate, decelerate, linear
from mmrefseg.models.acceleration.base import Derived, attached

PYTORCH_HEAD = dict(type='LAVTPytorchHead', in_channels=(32, 64, 64))


def stir(model, seed=3):
    """Statistics, scales, shifts and position biases that nothing may lose."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor, low, high):
        tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                uniform(module.running_mean, -1, 1)
                uniform(module.running_var, 0.5, 3)
                uniform(module.weight, 0.5, 1.5)
                uniform(module.bias, -0.5, 0.5)
            if hasattr(module, 'relative_position_bias_table'):
                uniform(module.relative_position_bias_table, -1, 1)
    return model


def lavt_pytorch():
    return test_lavt.tiny(
        head=PYTORCH_HEAD,
        gate=dict(type='lavt_pytorch'),
        fuse_after_merging=True,
        shift_single_window=False,
    )


NETWORKS = {
    'rec': lambda: build_tiny(with_box=True, with_mask=False),
    'res': lambda: build_tiny(**PARTIAL),
    'multi_task': lambda: build_tiny(**PARTIAL, with_box=True),
    'legacy': lambda: build_tiny(**PARTIAL, legacy=True),
    'roi': lambda: build_tiny(**ROI),
    'lavt': test_lavt.tiny,
    'lavt_pytorch': lavt_pytorch,
    'late_lavt': test_late_lavt.tiny,
}
IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def many(monkeypatch):
    """Layers as small as these would otherwise be left to torch."""
    monkeypatch.setattr(linear, 'MANY_PRODUCTS', 0)


@pytest.fixture(params=NETWORKS)
def network(request):
    return stir(NETWORKS[request.param]().eval())


def outputs(model):
    """What a network says of a batch: numbers that move with the weights, and what is decided by them."""
    with torch.no_grad():
        if not hasattr(model, 'head'):
            samples = [test_lavt.sample(test_lavt.SENTENCES), test_lavt.sample(['left'])]
            logits = model._forward(IMAGES.to(next(model.parameters()).dtype), samples)
            return [logits], [logits.argmax(1)]
        data = model.data_preprocessor(make_batch(), False)
        images = data['inputs'].to(next(model.parameters()).dtype)
        memory = model.encode(images, data['data_samples'])
        found = model.head.predict(memory, keep_logits=True)
    sequences = [item for item in (found.boxes, found.masks) if item is not None]
    numbers = [memory.tokens, found.scores, *(item.log_probs for item in sequences)]
    return numbers, [item.tokens for item in sequences]


def assert_same(ours, theirs, tolerance=1e-4):
    for one, other in zip(ours[0], theirs[0], strict=True):
        assert one.shape == other.shape
        assert (one - other).abs().max() <= tolerance * other.abs().max()
    assert all(torch.equal(one, other) for one, other in zip(ours[1], theirs[1], strict=True))


def test_predictions_are_the_same(network):
    fast = accelerate(copy.deepcopy(network))
    for _ in range(2):  # the second time by what was kept
        assert_same(outputs(fast), outputs(network))


@pytest.mark.parametrize('name', ['D_partial_res_ray18'])
def test_predictions_of_real_size_are_the_same(golden_dir, name):
    golden = load_golden(golden_dir, name)
    model = golden.model
    stages = []
    with torch.no_grad():
        for change in (decelerate, accelerate):
            change(model)
            vision = model.extract_vision(golden.images)
            language = model.language_model(golden.token_ids)
            fused, token = model.neck.fuse(vision, language, torch.arange(2))
            masks = model.head.predict(model.head.encode(fused, token, golden.sizes), keep_logits=True).masks
            stages.append((([vision, masks.logits], [masks.tokens]), masks))
    (plain, _), (fast, masks) = stages
    assert not torch.equal(plain[0][0], fast[0][0])  # another way, indeed
    assert_same(fast, plain)
    assert torch.equal(masks.tokens, torch.from_numpy(golden.arrays['seq_out_mask']))


def test_every_piece_is_used_somewhere():
    used = Counter()
    for make in NETWORKS.values():
        used.update(type(attached(module)) for module in accelerate(make()).modules())
    del used[type(None)]
    assert set(used) == set(PIECES)


def test_nothing_else_of_the_model_changes(network):
    names = [name for name, _ in network.named_modules()]
    kinds = [type(module) for module in network.modules()]
    state = network.state_dict()
    parameters = [id(p) for p in network.parameters()]
    assert accelerate(network) is network
    pieces = [attached(module) for module in network.modules()]
    outputs(network)
    assert [attached(module) for module in accelerate(network).modules()] == pieces
    assert sum(piece is not None for piece in pieces) > 3
    assert names == [name for name, _ in network.named_modules()]
    assert kinds == [type(module) for module in network.modules()]
    assert parameters == [id(p) for p in network.parameters()]
    assert list(state) == list(network.state_dict())
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert decelerate(network) is network
    assert not any(
        {'forward', 'train', 'attend', 'start'} & vars(module).keys() for module in network.modules()
    )


def test_what_a_subclass_or_a_user_overrides_is_left_alone():
    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    patched = nn.Linear(3, 3)
    patched.forward = lambda x: x
    model = accelerate(nn.Sequential(Doubled(3, 3), patched, nn.Linear(3, 3)))
    assert [attached(module) is not None for module in model] == [False, False, True]
    assert decelerate(model)[1].forward(5) == 5


# ------------------------------------------------------------------- following the weights


def train_a_step(model):
    """Forward, backward and an update of all that learns; batch norms move."""
    model.train()
    if hasattr(model, 'head'):
        losses = run_loss(model, make_batch())
    else:
        labelled = test_late_lavt.labelled
        losses = model.loss(IMAGES, [labelled(test_lavt.SENTENCES), labelled(['left'])])
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05).zero_grad()
    sum(value for key, value in losses.items() if key.startswith('loss')).backward()
    torch.optim.SGD(model.parameters(), lr=1e-3).step()
    return model.eval()


def update_in_evaluation(model):
    """An optimizer that never says so."""
    for p in model.parameters():
        p.grad = torch.full_like(p, 0.5)
    torch.optim.AdamW(model.parameters(), lr=0.01).step()
    return model


def load_other_weights(model):
    state = {
        key: value * 1.25 if value.is_floating_point() else value for key, value in model.state_dict().items()
    }
    model.load_state_dict(state)
    return model


def assign_other_weights(model):
    state = {
        key: value * 1.25 if value.is_floating_point() else value for key, value in model.state_dict().items()
    }
    model.load_state_dict(state, assign=True)
    return model


def swap_in_an_average(model):
    """As mmengine's EMAHook, which swaps through ``.data`` before the validation loop calls ``eval()``."""
    for p in model.parameters():
        p.data.copy_(p.data * 1.25)
    return model.eval()


def round_weights(model):
    """To half precision and back: other weights, most likely where the first ones were."""
    return model.half().float()


def to_double(model):
    return model.double()


def copy_and_change(model):
    model = copy.deepcopy(model)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1.25)
    return model


def pickle_and_change(model):
    model = pickle.loads(pickle.dumps(model))
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1.25)
    return model


CHANGES = (
    train_a_step, update_in_evaluation, load_other_weights, assign_other_weights, swap_in_an_average,
    round_weights, to_double, copy_and_change, pickle_and_change,
)  # fmt: skip


@pytest.mark.parametrize('change', CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize('name', ['multi_task', 'lavt'])
def test_it_follows_the_weights(name, change):
    plain = stir(NETWORKS[name]().eval())
    fast = accelerate(copy.deepcopy(plain))
    before = outputs(fast)[0]
    plain, fast = change(plain), change(fast)
    assert sum(attached(module) is not None for module in fast.modules()) > 3
    after = outputs(fast)
    assert_same(after, outputs(plain), tolerance=1e-3)
    if change is not to_double:
        assert any((one - other).abs().max() > 1e-5 for one, other in zip(after[0], before, strict=True))


def test_a_copy_has_forms_of_its_own():
    model = accelerate(build_tiny(**PARTIAL))
    outputs(model)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        for module, twin in zip(model.modules(), other.modules(), strict=True):
            one, same = attached(module), attached(twin)
            assert type(one) is type(same)
            assert one is None or (same is not one and same.module is twin and not same.derived._kept)


def test_what_is_derived_is_made_once():
    made = []
    derived, weight, bias = Derived(), torch.ones(3), torch.ones(3)

    def get(*facts):
        return derived('sum', lambda: made.append(1) or weight + bias, [weight, None, bias], *facts)

    assert get() is get() and len(made) == 1
    bias.add_(1)
    assert torch.equal(get(), torch.full((3,), 3.0)) and len(made) == 2
    get(8)
    assert len(made) == 3
    weight.data.zero_()  # behind its back
    assert torch.equal(get(8), torch.full((3,), 3.0))
    derived.drop()
    assert torch.equal(get(8), torch.full((3,), 2.0))
    with torch.inference_mode():
        derived.drop()
        assert not get().is_inference() and not get().requires_grad


def test_memory_of_what_a_value_was_made_from_is_not_given_away():
    """Else other weights could lie at the same address, as new as the first ones."""
    derived, weight = Derived(), nn.Parameter(torch.ones(1000))
    address = weight.data_ptr()
    derived('twice', lambda: weight * 2, [weight])
    weight.data = torch.zeros(0)
    others = [torch.zeros(1000) for _ in range(50)]
    assert address not in [other.data_ptr() for other in others]
    weight.data = others[0]
    assert derived('twice', lambda: weight * 2, [weight]).sum() == 0


# --------------------------------------------------------------------------------- training


@pytest.mark.parametrize('name', ['multi_task', 'lavt'])
def test_gradients_are_the_same(name):
    plain = stir(NETWORKS[name]().eval())
    fast = accelerate(copy.deepcopy(plain))
    outputs(fast)
    found = []
    for model in (plain, fast):
        if name == 'lavt':
            model.loss(IMAGES[:1], [test_lavt.sample(test_lavt.SENTENCES)])['loss_mask'].backward()
        else:
            run_loss(model, make_batch())['loss_multi_task'].backward()
        found.append({key: p.grad for key, p in model.named_parameters() if p.grad is not None})
    expected, gradients = found
    assert len(expected) > 50 and gradients.keys() == expected.keys()
    largest = float(max(value.abs().max() for value in expected.values()))
    for key, value in expected.items():
        torch.testing.assert_close(gradients[key], value, rtol=1e-4, atol=1e-6 * largest)


def test_frozen_layers_are_folded_in_training():
    """Losses, gradients and statistics are those of the plain layers."""
    config = tiny_config(**PARTIAL)
    config['backbone']['frozen_layers'] = 10
    results = []
    for change in (decelerate, accelerate):
        torch.manual_seed(0)
        model = change(stir(MODELS.build(copy.deepcopy(config)))).train()
        loss = run_loss(model, make_batch())['loss_mask']
        loss.backward()
        pieces = [attached(layer) for layer in model.backbone.modules() if isinstance(layer, ConvModule)]
        assert len(pieces) == 17
        folded = [piece is not None and bool(piece.derived._kept) for piece in pieces]
        assert folded == [change is accelerate] * 15 + [False] * 2
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
    config['backbone'].update(frozen_layers=6, norm_eval=False)
    model = accelerate(MODELS.build(config)).train()
    before = model.backbone.layers[0].bn.running_mean.clone()
    run_loss(model, make_batch())
    assert not torch.equal(before, model.backbone.layers[0].bn.running_mean)


def test_lower_precision_is_left_to_autocast():
    plain = build_tiny(**PARTIAL)
    fast = accelerate(copy.deepcopy(plain))
    with torch.autocast('cpu', torch.bfloat16):
        for one, other in zip(run_predict(plain, make_batch()), run_predict(fast, make_batch()), strict=True):
            assert torch.equal(one.pred_instances.scores, other.pred_instances.scores)
    assert not any(
        piece.derived._kept for module in fast.modules() if (piece := attached(module)) is not None
    )


# ------------------------------------------------------------------------------------ rooms


def test_the_networks_know_nothing_of_it(repo_root):
    models = repo_root / 'mmrefseg' / 'models'
    files = [path for path in models.rglob('*.py') if path.parent.name != 'acceleration']
    assert len(files) > 30
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in getattr(node, 'names', ()) if isinstance(alias, ast.alias)]
            source = f'{getattr(node, "module", None) or ""}.{".".join(names)}'
            assert not isinstance(node, ast.Import | ast.ImportFrom) or 'acceleration' not in source, path
