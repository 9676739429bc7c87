"""SeqTR and Partial-RES against numbers computed by the originals, stage by stage.

The originals' weights come through the converter, and the models from the configs that it writes.

Tolerances are relative to the largest value of the stage: 1e-4 (the originals' own noise,
with another convolution library, is 1e-6).
"""

from types import SimpleNamespace

import numpy as np
import pycocotools.mask as mask_utils
import pytest
import torch
from golden_seqtr import NAMES, load_golden
from mmengine.optim import build_optim_wrapper

from mmrefseg.checkpoints.from_seqtr import SEQTR_KEYS
from mmrefseg.models.layers.attention import MultiHeadAttention
from mmrefseg.structures.polygons import vertices_to_rle

TOLERANCE = 1e-4


@pytest.fixture(scope='module', params=NAMES)
def golden(request, golden_dir):
    return load_golden(golden_dir, request.param)


@pytest.fixture(scope='module')
def predicted(golden):
    """One pass from images to tokens, for all tests."""
    with torch.no_grad():
        language, fused, token, memory = encode(golden)
        out = golden.model.head.predict(memory, keep_logits=True)
    return SimpleNamespace(language=language, fused=fused, token=token, memory=memory, out=out)


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


def test_stages_and_tokens(golden, predicted):
    arrays, head, out = golden.arrays, golden.model.head, predicted.out
    if golden.name == 'C_partial_multitask':
        assert 'lan_enc_out' not in arrays, (
            "the original's multi-task testing crashes: nothing to compare with"
        )
        return
    assert_stage(predicted.language, arrays['lan_enc_out'][:, 0])
    assert_stage(predicted.memory.tokens, arrays['memory'])
    assert (predicted.memory.padding[:, :80].numpy() == arrays['x_mask']).all()
    if 'fusion_out' in arrays:
        assert_stage(predicted.fused, arrays['fusion_out'])
    if 'fusion_lan' in arrays:
        assert_stage(predicted.token, arrays['fusion_lan'][..., 0])
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


def test_point_modulation_bias(golden, predicted):
    if 'test_gaussian0_last' not in golden.arrays:
        assert golden.name == 'C_partial_multitask' or not golden.name.split('_')[1].startswith('partial')
        return
    theirs = golden.arrays['test_gaussian0_last']  # (L, HW, M*A) at the last decoding step
    seen = []
    first = golden.model.head.decoder.layers[0].point_modulation
    handle = first.register_forward_hook(lambda _m, _i, bias: seen.append(bias))
    with torch.no_grad():
        golden.model.head.predict(predicted.memory)
    handle.remove()
    ours = torch.cat(seen, 2)[..., :80]  # (M, A, L, HW)
    steps = theirs.shape[0]
    assert_stage(ours[:, :, :steps].permute(2, 3, 0, 1).flatten(2), theirs)


def test_boxes(golden, predicted, monkeypatch):
    """In the padded frame and in the original's."""
    if 'pred_bboxes_padscale_f64' not in golden.arrays:
        assert predicted.out.boxes is None
        return
    model = golden.model
    for rescale, name in ((False, 'padscale'), (True, 'rescale')):
        monkeypatch.setattr(model, 'encode', lambda *_: predicted.memory)
        samples = model.predict(golden.images, golden.samples(), rescale=rescale)
        ours = torch.cat([sample.pred_instances.bboxes for sample in samples])
        assert_stage(ours, golden.arrays[f'pred_bboxes_{name}_f64'])


def test_masks_byte_for_byte(golden, predicted, monkeypatch):
    """Drawn in the padded frame, and resized with the padding to the image's own: ``legacy_rescale``."""
    if 'pred_masks_padscale' not in golden.meta:
        assert predicted.out.masks is None or golden.name == 'C_partial_multitask'
        return
    model, codec = golden.model, golden.model.head.codec
    monkeypatch.setattr(model, 'encode', lambda *_: predicted.memory)
    monkeypatch.setitem(model.test_cfg, 'legacy_rescale', True)
    samples = model.predict(golden.images, golden.samples())
    for row, sample in enumerate(samples):
        height, width = golden.inputs['meta_pad_shape'][row, :2]
        vertices = codec.decode_mask(predicted.out.masks.tokens[row].numpy(), sample.img_shape)
        rle = vertices_to_rle(vertices, int(height), int(width))
        assert rle['counts'] == golden.meta['pred_masks_padscale'][row]['counts']
        mask = sample.pred_instances.masks[0].numpy()
        rle = mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))
        assert rle['size'] == golden.meta['pred_masks_rescale'][row]['size']
        assert rle['counts'].decode() == golden.meta['pred_masks_rescale'][row]['counts']


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
    golden.model.zero_grad()
    loss.backward()
    norms = {
        name: parameter.grad.norm().item()
        for name, parameter in golden.model.named_parameters()
        if parameter.grad is not None
    }
    theirs = {SEQTR_KEYS.rename(key): norm for key, norm in golden.meta['grad_norm_per_param'].items()}
    if golden.name == 'C_partial_multitask':
        assert theirs.pop('head.task_embedding.weight') is None, (
            'the original does not train what we leave out'
        )
    floor = 1e-6 * golden.meta['grad_total_norm']
    assert len(theirs) > 100
    for name, norm in theirs.items():
        assert norms[name] == pytest.approx(norm, rel=1e-3, abs=floor), name
    if 'after_one_optimizer_step' in golden.meta:
        check_optimizer_step(golden)


def check_optimizer_step(golden):
    """Clipping and Adam as our config has them, on the gradients that are there; the weights stay."""
    model, facts = golden.model, golden.meta['after_one_optimizer_step']
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in trained.items()}
    build_optim_wrapper(model, golden.config.optim_wrapper).step()
    with torch.no_grad():
        deltas = {name: p - before[name] for name, p in trained.items()}
        for name, p in trained.items():
            p.copy_(before[name])
    rate = facts['optimizer']['lr']
    assert len(facts['abs_delta_sum']) > 150
    wrong = {}
    for key, theirs in facts['abs_delta_sum'].items():
        delta, slack = deltas[SEQTR_KEYS.rename(key)].abs(), 0.0
        if key.endswith('in_proj_bias'):
            # A bias of the keys shifts all logits of a query alike: its gradient is but rounding, and
            # Adam makes full steps of that.
            query, keys, value = delta.chunk(3)
            delta, slack = torch.cat([query, value]), rate * len(keys)
        total = delta.double().sum().item()
        if not total * (1 - 1e-3) <= theirs <= total * (1 + 1e-3) + slack:
            wrong[key] = (total, theirs)
    assert not wrong
    ours = deltas['head.predictor.4.bias'].numpy()
    assert np.abs(ours - golden.arrays['adam_step_delta_predictor2_bias']).max() <= 1e-3 * rate


def test_training_mode_moves_the_frozen_statistics(golden):
    """Batch statistics in every layer (``norm_eval=False``), dropout off: loss and running averages."""
    if 'train_mode_loss_dropout0' not in golden.meta:
        assert golden.name == 'E_partial_rec'
        return
    model = golden.model
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, MultiHeadAttention):
            module.dropout = 0.0
    model.train()
    try:
        with torch.no_grad():
            memory = encode(golden)[-1]
            losses = model.head.loss(memory, *train_tokens(golden), torch.ones(2, dtype=torch.bool))
        loss = next(value for key, value in losses.items() if key.startswith('loss'))
        assert loss.item() == pytest.approx(golden.meta['train_mode_loss_dropout0'], rel=1e-5)
        after = [key for key in golden.arrays if key.startswith('after_train_mode/')]
        assert len(after) == 4
        for key in after:
            name = SEQTR_KEYS.rename(key.partition('/')[2])
            assert_stage(model.get_buffer(name), golden.arrays[key])
            assert not torch.equal(model.get_buffer(name), before[name])
    finally:
        model.eval()
        model.load_state_dict(before, strict=False)
