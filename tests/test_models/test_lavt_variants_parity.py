"""LAVT at full size, LAVT-one and LAVT-pytorch against numbers computed by the originals.

Tolerances as in ``test_lavt_parity.py``.
"""

import json

import numpy as np
import pytest
import torch
from golden_lavt import load_golden, normalise, read_images, read_tokens
from mmdet.structures import DetDataSample
from test_lavt_parity import EXACT, NOISE, assert_complete, compare, cut, exact, run

from mmrefseg.models.heads.lavt_head import upsample
from mmrefseg.models.language_models.token_batch import TokenBatch, join_tokens

# The goldens' README: what 32 bits are good for where BERT has reference weights.
STAGES, LOGITS = 3e-2, 5e-3


def twice(floor):
    """Two runs in 32 bits are each as far from the truth as the floor says."""
    return lambda position: 2 * floor['logits' if position.startswith(('logits', 'loss')) else position]


def test_lavt_base(golden_dir):
    golden = load_golden(golden_dir, 'lavt_base_w12', bert=False)
    assert_complete(golden)
    name = 'lavt_base_w12_192_randlang'
    words = golden.arrays(name, 'io')['bert_last_hidden']
    ours = run(golden, name, 192, torch.float64, words)
    ours.pop('bert_last_hidden')
    assert compare(ours, golden.arrays(name, 'f64'), exact) >= 21
    name = 'lavt_base_w12_480'
    io, floor = golden.arrays(name, 'io'), golden.floor(name)
    ours = run(golden, name, 480, torch.float32, io['bert_last_hidden'])
    ours.pop('bert_last_hidden')
    assert compare(ours, golden.arrays(name, 'f64'), twice(floor)) >= 21
    assert (ours['logits'].argmax(1) != io['pred']).sum() <= 2 * floor['pred_disagree_pixels']


def test_lavt_one(golden_dir):
    golden = load_golden(golden_dir, 'lavtone_tiny_w7')
    assert_complete(golden)
    assert golden.network.original == 'LAVT-RIS lavt_one'
    name = 'lavtone_tiny_w7_192'
    io, tolerance = golden.arrays(name, 'io'), twice(golden.floor(name))
    ours = run(golden, name, 192, torch.float64)
    assert compare(ours, golden.arrays(name, 'f64'), exact) >= 22
    ours = run(golden, name, 192, torch.float32, io['bert_last_hidden'])
    ours.pop('bert_last_hidden')
    assert compare(ours, io, tolerance) >= 3
    assert compare(ours, golden.arrays(name, 'stages'), tolerance) >= 18


def test_lavt_one_base(golden_dir):
    golden = load_golden(golden_dir, 'lavtone_base_w12')
    assert_complete(golden)
    name = 'lavtone_base_w12_192'
    ours = run(golden, name, 192, torch.float64)
    assert compare(ours, golden.arrays(name, 'f64'), exact) >= 22


def assert_pytorch_stages(ours, theirs, tolerance):
    """LAVT-pytorch's names: ``layer`` after patch merging, ``pwam`` fusion, ``langpath`` gated map."""
    count = 0
    for name, array in theirs.items():
        key = name.removesuffix('_f64')
        position = key.rsplit('_', 1)[0]
        if position in ours and key.endswith(('_head', '_crop')):
            part = cut(ours[position], key, array.shape)
            assert part.shape == array.shape, key
            assert np.abs(part - array).max() <= tolerance, key
            count += 1
    return count


def run_pytorch_backbone(golden, name, size, dtype, words):
    """Maps for the decoder (M, C, H, W), and what LAVT-pytorch's goldens recorded on the way."""
    backbone, io, seen = golden.model.backbone.to(dtype), golden.arrays(name, 'io'), {}

    def record(i):
        def hook(_module, inputs, outputs):
            seen[f'layer{i}'] = inputs[0]
            seen[f'pwam{i}'] = outputs[0].permute(0, 3, 1, 2)
            seen[f'langpath{i}'] = outputs[1].permute(0, 3, 1, 2)

        return hook

    handles = [gate.register_forward_hook(record(i)) for i, gate in enumerate(backbone.gates)]
    with torch.no_grad():
        maps = backbone(read_images(io, size).to(dtype), words.to(dtype), read_tokens(io).mask)
    for handle in handles:
        handle.remove()
    return maps, {key: value.double().numpy() for key, value in seen.items()}


@pytest.fixture(scope='module')
def reproduction(golden_dir):
    return load_golden(golden_dir, 'lavtpt_small')


def test_lavt_pytorch(reproduction):
    assert_complete(reproduction)
    name = 'lavtpt_small_224'
    golden = reproduction.arrays(name, 'f64')
    io = reproduction.arrays(name, 'io')
    language = reproduction.model.language_model.double()
    with torch.no_grad():
        words = language(read_tokens(io)).words
    assert np.abs(words.numpy() - io['language_features']).max() <= 1e-5
    maps, seen = run_pytorch_backbone(reproduction, name, 224, torch.float64, words)
    assert assert_pytorch_stages(seen, golden, EXACT) >= 11
    # One image, one block in 64 bits at a time: the decoder has 336 M parameters.
    *finer, x = (feature[:1] for feature in maps)
    head = reproduction.model.decode_head
    with torch.no_grad():
        for block, skip in zip(head.blocks, reversed(finer), strict=True):
            x = block.double()(torch.cat([x, skip], 1))
            x = upsample(x, (2 * x.shape[2], 2 * x.shape[3]))
            block.float()
        low = head.classifier.double()(x)
        head.classifier.float()
    assert np.abs(low.numpy() - golden['logits_lowres_f64'][:1]).max() <= EXACT
    full = upsample(low, (224, 224)).numpy()[..., ::3, ::3]
    assert np.abs(full - golden['logits_stride3_f64'][:1]).max() <= EXACT


def test_lavt_pytorch_without_bert(reproduction):
    name = 'lavtpt_small_224_randlang'
    io = reproduction.arrays(name, 'io')
    words = torch.from_numpy(io['language_features'])
    maps, seen = run_pytorch_backbone(reproduction, name, 224, torch.float32, words)
    assert assert_pytorch_stages(seen, reproduction.arrays(name, 'stages'), NOISE) >= 11
    with torch.no_grad():
        logits = upsample(reproduction.model.decode_head.float()(maps), (224, 224))
        loss = reproduction.model.decode_head.loss(logits, torch.from_numpy(io['target']))['loss_mask']
    assert np.abs(logits.numpy() - io['logits']).max() <= NOISE
    assert abs(float(loss) - io['loss_eval_ce']) <= NOISE
    assert (logits.argmax(1).numpy() == io['pred']).all()


def test_lavt_pytorch_sentences_together(reproduction):
    """``cat`` as the reproduction runs it, words interleaved."""
    golden = reproduction.arrays('lavtpt_validate', '')
    model = reproduction.model.float()
    batches = []
    for i, sentences in enumerate((1, 2, 3)):
        ids = torch.from_numpy(golden[f's{i}_token_ids_TS']).t()
        mask = torch.from_numpy(golden[f's{i}_attention_TS']).t().bool()
        assert ids.shape == (sentences, 30)
        joined = join_tokens(TokenBatch(ids, mask), range(sentences), interleave=True)
        assert (joined.ids.numpy() == golden[f'cat_call{i}_token_ids']).all()
        assert (joined.mask.numpy() == golden[f'cat_call{i}_attention']).all()
        batches.append(joined)
    image, joined = normalise(golden['s1_image'], 224)[None], batches[1]
    with torch.no_grad():
        maps = model.extract_feat(image, joined)
        logits = upsample(model.decode_head(maps), (224, 224))[..., ::2, ::2].numpy()
    # BERT with reference weights, see above
    assert np.abs(logits - golden['cat_call1_logits_stride2']).max() <= 1e-3


def test_lavt_pytorch_base(reproduction, golden_dir):
    """The published network at its own size in 32 bits, within what the goldens say of such runs."""
    golden = load_golden(golden_dir, 'lavtpt_base_w7', known=reproduction.network.state)
    assert_complete(golden)
    name = 'lavtpt_base_w7_448'
    io = golden.arrays(name, 'io')
    with torch.no_grad():
        words = golden.model.language_model(read_tokens(io)).words
        assert np.abs(words.numpy() - io['language_features']).max() <= 1e-4
        maps, seen = run_pytorch_backbone(golden, name, 448, torch.float32, words)
        assert assert_pytorch_stages(seen, golden.arrays(name, 'stages'), STAGES) >= 11
        low = golden.model.decode_head(maps)
        logits = upsample(low, (448, 448))
        loss = golden.model.decode_head.loss(logits, torch.from_numpy(io['target']))['loss_mask']
    assert np.abs(low.numpy() - io['logits_lowres']).max() <= LOGITS
    assert np.abs(logits[..., ::4, ::4].numpy() - io['logits_stride4']).max() <= LOGITS
    assert abs(float(loss) - io['loss_eval_ce']) <= LOGITS
    assert (logits.argmax(1).numpy() != io['pred']).mean() <= 1e-3


def test_lavt_pytorch_sentences_averaged(reproduction, monkeypatch):
    """``avg`` through ``predict``: logits of every sentence, then masks of their mean in the image's size.

    Of an object with one sentence, and of one with three.
    """
    objects, calls = [0, 2], [0, 3, 4, 5]
    golden = reproduction.arrays('lavtpt_validate', '')
    model, logits, counts = reproduction.model.float(), [], []
    tokens = {
        f'{i} {k}': (golden[f's{i}_token_ids_TS'][:, k], golden[f's{i}_attention_TS'][:, k])
        for i in range(3)
        for k in range(i + 1)
    }

    def tokenize(texts):
        ids, mask = (torch.from_numpy(np.stack(rows)) for rows in zip(*map(tokens.get, texts), strict=True))
        return TokenBatch(ids, mask.bool())

    monkeypatch.setattr(model.language_model, 'tokenize', tokenize)
    monkeypatch.setitem(model.test_cfg, 'sentences', 'avg')
    handle = model.decode_head.register_forward_hook(lambda _m, _i, output: logits.append(output))
    for i in objects:
        image, truth = golden[f's{i}_image'], golden[f's{i}_mask'].astype(bool)
        info = dict(
            img_shape=(224, 224), ori_shape=truth.shape, ref_ids=[7] * (i + 1),
            expressions=[f'{i} {k}' for k in range(i + 1)],
        )  # fmt: skip
        with torch.no_grad():
            masks = model.predict(normalise(image, 224)[None], [DetDataSample(metainfo=info)])[0]
        masks = masks.pred_instances.masks.numpy()
        assert (masks == masks[:1]).all() and len(masks) == i + 1
        counts.append([(masks[0] & truth).sum(), (masks[0] | truth).sum()])
    handle.remove()
    for number, row in zip(calls, torch.cat(logits), strict=True):
        full = upsample(row[None], (224, 224))[..., ::2, ::2].numpy()
        assert np.abs(full - golden[f'avg_call{number}_logits_stride2']).max() <= 1e-3
    theirs = golden['avg_I_U_IoU_f64']
    # pixels whose two logits are equal but for rounding
    assert np.abs(np.array(counts) - theirs[objects, :2]).max() <= 2
    assert golden['avg_mIoU_f64'] == pytest.approx((theirs[:, 0] / theirs[:, 1]).mean(), rel=1e-6)
    assert golden['avg_overall_f64'] == pytest.approx(theirs[:, 0].sum() / theirs[:, 1].sum(), rel=1e-6)


def test_lavt_pytorch_begins_to_train(reproduction):
    """The first forward pass of a training, batch norms with the batch's statistics.

    These multiply what is off in 32 bits: words that are moved by 3e-6 move our own logits by 2e-2. The last
    test, since it changes the running statistics.
    """
    golden = reproduction.arrays('lavtpt_train2', '')
    model, tokens = reproduction.model.float(), read_tokens(golden)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # as where the golden was made
    images = torch.stack([normalise(image, 224) for image in golden['images'][:2]])
    model.train()
    with torch.no_grad():
        maps = model.extract_feat(images, TokenBatch(tokens.ids[:2], tokens.mask[:2]))
        logits = upsample(model.decode_head(maps), (224, 224))
        loss = model.decode_head.loss(logits, torch.from_numpy(golden['masks'][:2]))['loss_mask']
    assert abs(float(loss) - golden['losses_f64'][0]) <= 2e-3
    assert np.abs(logits[..., ::2, ::2].numpy() - golden['logits_iter0']).max() <= 6e-2
    theirs = json.loads((reproduction.folder / 'lavtpt_train_grad_norms_iter0.json').read_text())
    unused = {name for name, norm in theirs.items() if norm is None}
    assert unused <= reproduction.report.dropped.keys()
    trained = {reproduction.report.origin[name] for name, p in model.named_parameters() if p.requires_grad}
    assert trained == theirs.keys() - unused
