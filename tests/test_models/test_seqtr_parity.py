"""SeqTR and Partial-RES against numbers computed by the originals, stage by stage.

Tolerances are relative to the largest value of the stage: 1e-4 (the originals' own noise,
with another convolution library, is 1e-6).
"""

import numpy as np
import pytest
import torch
from golden_seqtr import NAMES, load_golden

TOLERANCE = 1e-4


@pytest.fixture(scope='module', params=NAMES)
def golden(request, golden_dir):
    return load_golden(golden_dir, request.param)


def assert_stage(ours, theirs):
    ours = ours.detach().numpy()
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= TOLERANCE * np.abs(theirs).max()


def encode(golden):
    model = golden.model
    language = model.language_model(golden.token_ids)
    fused, token = model.neck(model.extract_feat(golden.images), language)
    return language, fused, token, model.head.encode(fused, token, golden.sizes)


def train_tokens(golden):
    targets = torch.from_numpy(golden.arrays['train_targets'])
    head = golden.model.head
    box = targets[:, :4] if head.with_box else None
    mask = (targets[:, 5:-1] if head.with_box else targets[:, :-1]) if head.with_mask else None
    return box, mask


def test_every_key_has_a_place(golden):
    assert golden.left_over == []
    assert golden.incompatible.missing_keys == []
    assert golden.incompatible.unexpected_keys == []


def test_stages_and_tokens(golden):
    arrays, head = golden.arrays, golden.model.head
    with torch.no_grad():
        language, fused, token, memory = encode(golden)
        out = head.predict(memory, keep_logits=True)
    assert_stage(language, arrays['lan_enc_out'][:, 0])
    assert_stage(memory.tokens, arrays['memory'])
    assert (memory.padding[:, :80].numpy() == arrays['x_mask']).all()
    if 'fusion_out' in arrays:
        assert_stage(fused, arrays['fusion_out'])
    if 'fusion_lan' in arrays:
        assert_stage(token, arrays['fusion_lan'][..., 0])
    if head.multi_task:
        assert_stage(out.boxes.logits, arrays['logits_bbox'])
        assert_stage(out.masks.logits, arrays['logits_mask'])
    else:
        assert_stage((out.masks or out.boxes).logits, arrays['logits'])
    checked = 0
    for key, sequence in (('seq_out_bbox', out.boxes), ('seq_out_mask', out.masks)):
        if key in arrays:
            assert (sequence.tokens.numpy() == arrays[key]).all()
            checked += 1
    assert checked == head.with_box + head.with_mask


def test_point_modulation_bias(golden):
    if 'test_gaussian0_last' not in golden.arrays:
        assert golden.model.head.decoder.layers[0].point_modulation is None
        return
    theirs = golden.arrays['test_gaussian0_last']  # (L, HW, M*A) at the last decoding step
    module = golden.model.head.decoder.layers[0].point_modulation
    seen = []
    handle = module.register_forward_hook(lambda _m, _i, output: seen.append(output))
    with torch.no_grad():
        memory = encode(golden)[-1]
        golden.model.head.predict(memory)
    handle.remove()
    ours = torch.cat(seen, 2)[..., :80]  # (M, A, L, HW)
    steps = theirs.shape[0]
    assert_stage(ours[:, :, :steps].permute(2, 3, 0, 1).flatten(2), theirs)


def test_teacher_forcing_loss_and_gradients(golden):
    if 'train_targets' not in golden.arrays:
        # The original's REC training of Partial-RES crashes: nothing to compare with.
        assert golden.name == 'E_partial_rec'
        return
    model = golden.model
    memory = encode(golden)[-1]
    box, mask = train_tokens(golden)
    inputs, targets, _ = model.head.build_sequence(box, mask, memory)
    assert (targets.numpy() == golden.arrays['train_targets']).all()
    decoder_in = golden.arrays.get(
        'train_decoder_in',
        golden.arrays.get('train_seq_in_embeds'),
    )
    assert_stage(inputs, decoder_in)
    assert_stage(model.head.decode(inputs, memory), golden.arrays['train_logits'])
    losses = model.head.loss(memory, box, mask, torch.ones(2, dtype=torch.bool))
    loss = next(value for key, value in losses.items() if key.startswith('loss'))
    theirs = float(golden.arrays['train_loss_f64'])
    assert abs(loss.item() - theirs) <= 1e-5 * theirs
    if 'grad_norm_per_param' in golden.meta:
        check_gradients(golden, loss)


def check_gradients(golden, loss):
    from mmrefseg.checkpoints import SEQTR_KEYS

    golden.model.zero_grad()
    loss.backward()
    norms = {
        name: parameter.grad.norm().item()
        for name, parameter in golden.model.named_parameters()
        if parameter.grad is not None
    }
    theirs = {SEQTR_KEYS.rename(key): norm for key, norm in golden.meta['grad_norm_per_param'].items()}
    floor = 1e-6 * golden.meta['grad_total_norm']
    assert len(theirs) > 100
    for name, norm in theirs.items():
        assert norms[name] == pytest.approx(norm, rel=1e-3, abs=floor), name
