"""LAVT-RIS and LAVT-pytorch against numbers computed by the originals, stage by stage.

Tolerances: 64 bits within 1e-8; 32 bits within 2e-4 where the words are random vectors. With BERT's reference
weights all words look alike, and the originals' own 32 bits are off by up to 1e-2 (``*.fp32_floor.json``).
"""

import json

import numpy as np
import pytest
import torch
from golden_lavt import load_golden, read_images, read_tokens

from mmrefseg.models.heads.lavt_head import upsample

EXACT, NOISE = 1e-8, 2e-4


def run(golden, name, size, dtype, words=None):
    """What our model computes at the positions that the goldens recorded: name -> array."""
    model, io, seen = golden.model.to(dtype), golden.arrays(name, 'io'), {}
    handles = []

    def record(key, module):
        handles.append(module.register_forward_hook(lambda _m, _i, output: seen.__setitem__(key, output)))

    for i, gate in enumerate(model.backbone.gates):
        record(f'att{i}', gate.fusion.norm_output)
        record(f'pwam{i}', gate.fusion)
        record(f'blk{i}', model.backbone.layers[i])
        if gate.gate is not None:
            record(f'gate{i}', gate.gate)
    tokens = read_tokens(io)
    with torch.no_grad():
        words = model.language_model(tokens).words if words is None else torch.from_numpy(words).to(dtype)
        maps = model.backbone(read_images(io, size).to(dtype), words, tokens.mask)
        seen['logits_lowres'] = model.decode_head(maps)
        seen['logits'] = upsample(seen['logits_lowres'], (size, size))
        seen['loss_eval_ce'] = model.decode_head.loss(seen['logits'], torch.from_numpy(io['target']))[
            'loss_mask'
        ]
    for handle in handles:
        handle.remove()
    seen |= {f'stage{i}_out': feature for i, feature in enumerate(maps)}
    seen['bert_last_hidden'] = words
    return {key: value.double().numpy() for key, value in seen.items()}


def cut(ours, key, shape):
    """The part of our array that a golden array holds: its name says which."""
    if key.endswith('_head'):  # (B, cells, C)
        ours = ours.reshape(len(ours), -1, ours.shape[-1])
        return ours[:, : shape[1], : shape[2]]
    if key.endswith('_crop'):
        return ours[tuple(slice(n) for n in shape)]
    if key.endswith('_stride3'):
        return ours[..., ::3, ::3]
    return ours


def compare(ours, theirs, tolerance):
    """Compare every recorded array that we have a position for.

    Args:
        tolerance: Of each stage, as a function of the stage's name.

    Returns:
        How many were compared.
    """
    count = 0
    for name, array in theirs.items():
        key = name.removesuffix('_f64')
        position = next(
            (
                key.removesuffix(end)
                for end in ('', '_head', '_crop', '_stride3')
                if key.removesuffix(end) in ours
            ),
            None,
        )
        if position is None:
            continue
        part = cut(ours[position], key, array.shape)
        assert part.shape == array.shape, key
        assert np.abs(part - array).max() <= tolerance(position), key
        count += 1
    return count


def exact(_place):
    return EXACT


def noise(_place):
    return NOISE


def assert_complete(golden):
    """Every key of the original has a position or a reason, every one of ours a value."""
    golden.report.require_complete('golden')
    accounted = len(golden.report.state) + len(golden.report.dropped)
    assert accounted == len(golden.network.state)


@pytest.fixture(scope='module')
def tiny(golden_dir):
    return load_golden(golden_dir, 'lavt_tiny_w7')


def test_lavt_tiny(tiny):
    assert_complete(tiny)
    ours = run(tiny, 'lavt_tiny_w7_192', 192, torch.float64)
    assert compare(ours, tiny.arrays('lavt_tiny_w7_192', 'f64'), exact) >= 22


def test_lavt_tiny_without_bert(tiny):
    name = 'lavt_tiny_w7_192_randlang'
    io = tiny.arrays(name, 'io')
    ours = run(tiny, name, 192, torch.float32, io['bert_last_hidden'])
    assert compare(ours, io, noise) >= 3
    assert compare(ours, tiny.arrays(name, 'stages'), noise) >= 18
    assert (ours['logits'].argmax(1) == io['pred']).all()


def test_bert_states(tiny):
    golden = tiny.arrays('lavt_bert_hidden', '')
    tokens = read_tokens(golden)
    bert = tiny.model.double().language_model.bert
    with torch.no_grad():
        states = bert(
            input_ids=tokens.ids, attention_mask=tokens.mask.long(), output_hidden_states=True
        ).hidden_states
    assert len(states) == 13
    for i, state in enumerate(states):
        assert np.abs(state[..., :24].numpy() - golden[f'hidden{i}_crop_f64']).max() <= EXACT


def test_word_pieces(tiny):
    rows = json.loads((tiny.folder / 'lavt_tokenizer.json').read_text())['rows']
    assert len(rows) >= 20
    tokens = tiny.model.language_model.tokenize([row['text'] for row in rows])
    for row, ids, mask in zip(rows, tokens.ids.tolist(), tokens.mask.tolist(), strict=True):
        kept = row['ids'][:20]
        assert ids == kept + [0] * (20 - len(kept))
        assert mask == [True] * len(kept) + [False] * (20 - len(kept))


def test_heads_per_stage(golden_dir):
    golden = load_golden(golden_dir, 'lavt_tiny_w7_mha4', mha='4-4-4-4', bert=False)
    name = 'lavt_tiny_w7_mha4_192_randlang'
    words = golden.arrays(name, 'io')['bert_last_hidden']
    ours = run(golden, name, 192, torch.float64, words)
    ours.pop('bert_last_hidden')
    assert compare(ours, golden.arrays(name, 'f64'), exact) >= 21
