"""LAVT as a detector: gradients, shared images, switches, sentences together, frames."""

import numpy as np
import pytest
import torch
from hf_models import TEXT
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

import mmrefseg.registration  # noqa: F401
from mmrefseg.experiments.encoder_trials import write_tokenizer
from mmrefseg.models.language_models.token_batch import TokenBatch, join_tokens
from mmrefseg.models.layers.language_gate import SwappedLanguageGate
from mmrefseg.utils import UserInputError

WORDS = ['red', 'blue', 'left', 'right', 'star', 'square']


def tiny(test_cfg=None, head=None, language_model=None, **backbone):
    torch.manual_seed(0)
    model = dict(
        type='LAVT',
        data_preprocessor=dict(type='DetDataPreprocessor', mean=[128.0] * 3, std=[64.0] * 3, bgr_to_rgb=True),
        backbone=dict(
            type='LanguageSwin',
            embed_dims=16,
            depths=(2, 2, 2),
            num_heads=(1, 2, 4),
            window_size=4,
            language_channels=32,
        )
        | backbone,
        language_model=language_model
        or dict(
            type='WordEncoder', vocabulary=dict(words=WORDS), max_tokens=6, embed_dims=16, hidden_dims=16
        ),
        decode_head=head
        if head and 'type' in head
        else dict(type='LAVTHead', in_channels=(16, 32, 64), channels=16) | (head or {}),
        test_cfg=test_cfg,
    )
    return MODELS.build(model)


def sample(expressions, ref_ids=None, shape=(64, 64), original=(50, 40), has_mask=None):
    count = len(expressions)
    generator = np.random.RandomState(count)
    data_sample = DetDataSample(
        metainfo=dict(
            expressions=expressions,
            ref_ids=ref_ids or list(range(count)),
            sent_ids=list(range(count)),
            img_shape=shape,
            ori_shape=original,
            scale_factor=(shape[1] / original[1], shape[0] / original[0]),
        )
    )
    masks = BitmapMasks((generator.rand(count, *shape) > 0.7).astype(np.uint8), *shape)
    has_mask = torch.ones(count, dtype=torch.bool) if has_mask is None else torch.tensor(has_mask)
    boxes = torch.tensor([[5.0, 10.0, 20.0, 30.0]] * count)
    data_sample.gt_instances = InstanceData(masks=masks, has_mask=has_mask, bboxes=boxes)
    return data_sample


SENTENCES = ['red star', 'blue square left', 'right star']


def test_every_parameter_learns():
    model = tiny(head=dict(dice_loss=dict(type='DiceLoss', activate=False))).train()
    losses = model.loss(torch.randn(2, 3, 64, 64), [sample(SENTENCES), sample(['left'])])
    assert set(losses) == {'loss_mask', 'loss_dice'}
    sum(losses.values()).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # a constant before an instance norm or a softmax changes nothing; unknown and unused words are not read
    vanishing = [name for name in still if not name.endswith(('query.bias', 'output.bias', 'key.bias'))]
    assert vanishing == []


def test_withheld_masks_teach_nothing():
    model = tiny().eval()
    images = torch.randn(1, 3, 64, 64)
    both = sample(SENTENCES[:2], has_mask=[True, False])
    loss = model.loss(images, [both])['loss_mask']
    both.gt_instances.masks.masks[1] = 1 - both.gt_instances.masks.masks[1]
    assert model.loss(images, [both])['loss_mask'] == loss
    both.gt_instances.masks.masks[0] = 1 - both.gt_instances.masks.masks[0]
    assert model.loss(images, [both])['loss_mask'] != loss
    none = model.loss(images, [sample(SENTENCES[:2], has_mask=[False, False])])['loss_mask']
    assert none == 0
    none.backward()


def test_class_weights_are_a_weighted_mean():
    logits, target = torch.randn(2, 2, 4, 4), torch.randint(0, 2, (2, 4, 4))
    loss = MODELS.build(dict(type='PixelCrossEntropyLoss', class_weight=(0.9, 1.1)))(logits, target)
    surprise = -logits.log_softmax(1).gather(1, target[:, None])[:, 0]
    weight = torch.where(target == 1, 1.1, 0.9)
    assert torch.allclose(loss, (surprise * weight).sum() / weight.sum())


@pytest.mark.parametrize(
    'backbone, head',
    [
        ({}, None),
        (
            dict(gate=dict(type='lavt_pytorch'), fuse_after_merging=True, shift_single_window=False),
            dict(_delete_=True, type='LAVTPytorchHead', in_channels=(32, 64, 64)),
        ),
    ],
)
def test_expressions_of_a_image_share_its_stage(backbone, head):
    if head:
        model = tiny(head=dict(in_channels=head['in_channels']), **backbone)
        model.decode_head = MODELS.build({key: value for key, value in head.items() if key != '_delete_'})
        model.eval()
    else:
        model = tiny(**backbone).eval()
    images = torch.randn(2, 3, 64, 64)
    calls = []
    model.backbone.layers[0].register_forward_hook(lambda _m, inputs, _o: calls.append(len(inputs[0])))
    samples = [sample(SENTENCES), sample(['left'])]
    with torch.no_grad():
        together = model._forward(images, samples)
        assert calls == [2]
        rows = [(0, text) for text in SENTENCES] + [(1, 'left')]
        alone = torch.cat([model._forward(images[i : i + 1], [sample([text])]) for i, text in rows])
    assert together.shape == (4, 2, 64, 64)
    assert torch.allclose(together, alone, atol=1e-5)


def test_the_gate_of_the_reproduction_can_be_put_right():
    """With its arguments in order it is LAVT's, and padding is left out of its attention."""
    swapped, right = (SwappedLanguageGate(8, 6, swapped=kind, use_mask=True) for kind in (True, False))
    right.load_state_dict(swapped.state_dict())
    x, words, mask = torch.randn(2, 3, 3, 8), torch.randn(2, 4, 6), torch.ones(2, 4, dtype=torch.bool)
    fused, gated = right(x, words, mask)
    assert torch.allclose(gated, x + right.gate(fused) * fused)
    assert torch.allclose(swapped(x, words, mask)[1], fused + right.gate(x) * x)
    mask[:, 2:] = False
    assert not torch.allclose(right(x, words, mask)[0], fused)
    assert torch.allclose(right(x, words * mask[..., None], mask)[0], right(x, words, mask)[0])


def test_frames_and_boxes():
    images = torch.randn(1, 3, 64, 64)
    for test_cfg, frame in (({}, (50, 40)), (dict(frame='network'), (64, 64))):
        model = tiny(test_cfg).eval()
        with torch.no_grad():
            result = model.predict(images, [sample(SENTENCES)])[0].pred_instances
        assert result.masks.shape == (3, *frame) and result.masks.dtype == torch.bool
        assert ((result.scores > 0.5) | (result.scores == 0)).all() and (result.scores <= 1).all()
        for mask, box in zip(result.masks, result.bboxes, strict=True):
            rows, columns = np.nonzero(mask.numpy())
            wanted = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else [0] * 4
            assert box.tolist() == wanted
    with torch.no_grad():
        free = tiny().eval().predict(images, [sample(SENTENCES)])[0].pred_instances.masks
        cut = (
            tiny(dict(confine_to_box=True))
            .eval()
            .predict(images, [sample(SENTENCES)])[0]
            .pred_instances.masks
        )
    inside = torch.zeros(50, 40, dtype=torch.bool)
    inside[10:31, 5:21] = True
    assert torch.equal(cut, free & inside)
    assert free.sum() > cut.sum() > 0


def test_sentences_together():
    images = torch.randn(1, 3, 64, 64)
    refs = [7, 8, 7]

    def predict(mode, **cfg):
        model = tiny(dict(sentences=mode, frame='network', **cfg)).eval()
        with torch.no_grad():
            return model._sentence_logits(model.backbone.forward_image(images), [sample(SENTENCES, refs)])[0]

    each, average, joined = predict('each'), predict('avg'), predict('cat')
    assert torch.allclose(each, predict('each', chunk_size=2), atol=1e-6)
    assert torch.allclose(average[0], (each[0] + each[2]) / 2, atol=1e-6)
    assert torch.equal(average[0], average[2])
    assert torch.allclose(average[1], each[1], atol=1e-6) and torch.allclose(joined[1], each[1], atol=1e-6)
    model = tiny().eval()
    with torch.no_grad():
        maps = model.backbone.forward_image(images)
        wanted = model._sentence_logits(maps, [sample(['red star right star'])])[0][0]
    assert torch.allclose(joined[0], wanted, atol=1e-6) and torch.equal(joined[0], joined[2])
    legacy = predict('cat_legacy')
    assert not torch.allclose(legacy[0], joined[0]) and torch.allclose(legacy[1], each[1], atol=1e-6)


def test_joined_tokens():
    ids = torch.tensor([[1, 2, 0], [3, 4, 5]])
    tokens = TokenBatch(ids, ids > 0)
    joined = join_tokens(tokens, [0, 1])
    assert joined.ids.tolist() == [[1, 2, 3, 4, 5]] and joined.mask.all()
    legacy = join_tokens(tokens, [0, 1], interleave=True)
    assert legacy.ids.tolist() == [[1, 3, 2, 4, 0, 5]]
    assert legacy.mask.tolist() == [[True, True, True, True, False, True]]
    assert join_tokens(tokens, [0]).ids.tolist() == [[1, 2, 0]]


def test_odd_sizes_and_repeated_sentences():
    model = tiny().eval()
    with torch.no_grad():
        result = model.predict(torch.randn(1, 3, 54, 70), [sample(['left', 'left'], shape=(54, 70))])
    masks = result[0].pred_instances.masks
    assert torch.equal(masks[0], masks[1])


def test_a_sentence_is_read_once():
    model, images = tiny().eval(), torch.randn(2, 3, 64, 64)
    read = []
    model.language_model.register_forward_hook(lambda _m, inputs, _o: read.append(len(inputs[0].ids)))
    samples = [sample(['left', 'red star', 'left']), sample(['left'])]
    with torch.no_grad():
        logits = model._sentence_logits(model.backbone.forward_image(images), samples)
        assert read == [2]
        assert [len(rows) for rows in logits] == [3, 1]
        low = model._sentence_logits(model.backbone.forward_image(images[1:]), samples[1:])
    assert torch.allclose(logits[1], low[0], atol=1e-6)


def test_a_sentence_vector_instead_of_words(tmp_path):
    text = dict(type='HFTextEncoder', config=dict(model_type='bert', **TEXT), output='sentence')
    text |= dict(tokenizer=str(write_tokenizer(tmp_path, WORDS)), out_channels=32)
    with pytest.raises(
        UserInputError, match="language_model: found output='sentence', expected output='words'"
    ):
        tiny(language_model=text)
    assert tiny(language_model=text | dict(output='words'))


def test_parts_of_different_channels():
    with pytest.raises(UserInputError, match='backbone: found language_channels 768, expected 32, the lang'):
        tiny(language_channels=768)
    with pytest.raises(
        UserInputError, match=r'found in_channels \(16, 32\), expected \(16, 32, 64\), the back'
    ):
        tiny(head=dict(in_channels=(16, 32)))


def test_wrong_settings_are_said():
    with pytest.raises(UserInputError, match='sentences'):
        tiny(dict(sentences='mean'))
    with pytest.raises(UserInputError, match='gate type'):
        tiny(gate=dict(type='lavt2'))
    with pytest.raises(UserInputError, match='no such file'):
        tiny(init_cfg=dict(type='Pretrained', checkpoint='nowhere.pth')).init_weights()
