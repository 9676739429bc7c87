"""Training iterations of LAVT-RIS in 64 bits, and the learning rates of both originals.

Ten of LAVT; ten of LAVT-one by ``make test-all``, else two.
"""

import json

import numpy as np
import pytest
import torch
from golden_lavt import MEAN, STD, load_golden, read_tokens
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.optim.scheduler import PolyLR
from sampling import ALL
from test_lavt_optimizer import OPTIMIZER, freeze_as_original

from mmrefseg.engine import PolyDecay
from mmrefseg.models.heads.lavt_head import upsample

ORIGINAL_DROPOUT = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def images_of(golden):
    images = torch.from_numpy(golden['images']).permute(0, 3, 1, 2).double() / 255
    mean, std = torch.tensor(MEAN, dtype=torch.float64), torch.tensor(STD, dtype=torch.float64)
    return (images.float() - mean.float()[:, None, None]) / std.float()[:, None, None]


def forward(model, images, tokens, rows):
    words = model.language_model(type(tokens)(tokens.ids[rows], tokens.mask[rows]))
    feats = model.backbone(images[rows], *words)
    return upsample(model.decode_head(feats), images.shape[-2:])


def train(model, golden, iterations):
    """Losses, learning rates and logits of all iterations, and the first gradients, as LAVT-RIS trains."""
    images, tokens = images_of(golden).double(), read_tokens(golden)
    masks = torch.from_numpy(golden['masks'])
    wrapper: OptimWrapper = build_optim_wrapper(model, OPTIMIZER)
    schedule = PolyDecay(wrapper, power=0.9, eta_min=0.0, by_epoch=False, end=10)
    losses, rates, logits, norms = [], [wrapper.get_lr()['lr'][0]], [], {}
    model.train()
    for rows in golden['batch_order'][:iterations]:
        logits.append(forward(model, images, tokens, rows))
        loss = model.decode_head.loss(logits[-1], masks[rows])['loss_mask']
        wrapper.backward(loss)
        norms = norms or gradient_norms(model)
        wrapper.step()
        wrapper.zero_grad()
        schedule.step()
        losses.append(float(loss.detach()))
        rates.append(wrapper.get_lr()['lr'][0])
        logits[-1] = logits[-1].detach().numpy()
    return losses, rates, logits, norms


def gradient_norms(model):
    """The L2 norm of each parameter's gradient, by our names."""
    return {
        name: float(parameter.grad.norm())
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def assert_gradients(loaded, file, norms, tolerance):
    """Every parameter that is trained has a gradient of the original's length.

    The original computes gradients of frozen parameters as well, and none of those that it never uses.
    """
    theirs = json.loads((loaded.folder / file).read_text())
    ours = {loaded.report.origin[name]: norm for name, norm in norms.items()}
    frozen = {
        loaded.report.origin[name] for name, p in loaded.model.named_parameters() if not p.requires_grad
    }
    unused = {name for name, norm in theirs.items() if norm is None}
    assert unused <= loaded.report.dropped.keys()
    assert ours.keys() == theirs.keys() - frozen - unused
    for name, norm in ours.items():
        assert abs(norm - theirs[name]) <= tolerance * max(theirs[name], 1.0), name


def assert_frozen(loaded, file):
    """What ten iterations left as it was in the original is what is frozen here."""
    updates = json.loads((loaded.folder / file).read_text())
    frozen = {
        loaded.report.origin[name]: not parameter.requires_grad
        for name, parameter in loaded.model.named_parameters()
    }
    compared = frozen.keys() & updates.keys()
    assert len(compared) >= 170
    assert {name for name in compared if frozen[name]} == {name for name in compared if updates[name] == 0}


# The two differ in where sentences meet the image, not in what comes after the first gradients.
@pytest.mark.parametrize(
    'spec, name, steps',
    [('lavt_tiny_w7', 'lavt_train10', 10), ('lavtone_tiny_w7', 'lavt_one_train10', 10 if ALL else 2)],
)
def test_iterations(golden_dir, spec, name, steps):
    loaded = load_golden(golden_dir, spec, **ORIGINAL_DROPOUT)
    golden, model = loaded.arrays(name, 'f64'), loaded.model.double()
    freeze_as_original(model)
    losses, rates, logits, norms = train(model, golden, steps)
    family = name.removesuffix('_train10')
    assert_gradients(loaded, f'{family}_train_grad_norms_iter0.f64.json', norms, 1e-8)
    assert_frozen(loaded, f'{family}_train_max_update_after10.json')
    assert np.abs(np.array(losses) - golden['losses_f64'][:steps]).max() <= 1e-8
    assert np.abs(np.array(rates) - golden['lr_per_iter_f64'][: steps + 1, 0]).max() <= 1e-15
    assert np.abs(logits[0][..., ::3, ::3] - golden['logits_iter0_stride3_f64']).max() <= 1e-8
    if steps == 10:
        assert_trained(model, golden, logits)


def assert_trained(model, golden, logits):
    """What ten iterations have made of the network."""
    assert np.abs(logits[9][..., ::3, ::3] - golden['logits_iter9_stride3_f64']).max() <= 1e-7
    norm = model.decode_head.blocks[0][0].bn
    assert np.abs(norm.running_mean.numpy() - golden['bn1_4_running_mean_f64']).max() <= 1e-8
    assert np.abs(norm.running_var.numpy() - golden['bn1_4_running_var_f64']).max() <= 1e-8
    model.eval()
    with torch.no_grad():
        trained = forward(model, images_of(golden).double(), read_tokens(golden), np.array([0]))
        validated = forward(model, images_of(golden).double(), read_tokens(golden), np.arange(20, 23))
    assert np.abs(trained[..., ::2, ::2].numpy() - golden['trained_logits_sample0_stride2_f64']).max() <= 1e-7
    found, truth = validated.argmax(1).numpy() == 1, golden['masks'][20:] == 1
    counts = np.stack([(found & truth).sum((1, 2)), (found | truth).sum((1, 2))])
    assert (counts.sum(1) == golden['val_cum_IU']).all()
    assert np.abs(counts[0] / counts[1] - golden['val_iou_f64']).max() <= 1e-12


def rates_of(first, steps, kind, **schedule):
    """Learning rates that a scheduler gives."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=first)
    scheduler = kind(optimizer, by_epoch=False, **schedule)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    return np.array(rates)


def test_released_learning_rates(golden_dir):
    golden = json.loads((golden_dir / 'lavt' / 'lavt_lr_released_recipe.json').read_text())
    end = golden['epochs'] * golden['iters_per_epoch']
    rates = rates_of(golden['base_lr'], 10, PolyDecay, power=golden['power'], eta_min=0.0, end=end)
    assert np.abs(rates - golden['lr_first_10']).max() <= 1e-15


def test_reproduction_learning_rates(golden_dir):
    """LAVT-pytorch steps once before the first epoch: the same line, begun one step later."""
    golden = json.loads((golden_dir / 'lavt' / 'lavtpt_poly_lr_decay.json').read_text())
    first, args = golden['lr_used_in_epoch'][0], golden['args']
    rates = rates_of(
        first, 50, PolyLR, power=args['power'], eta_min=args['end_lr'], end=args['max_decay_steps']
    )
    assert np.abs(rates - golden['lr_used_in_epoch']).max() <= 1e-15
