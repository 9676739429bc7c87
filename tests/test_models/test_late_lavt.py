"""What the tiny LAVT adds: late gates, words matched by sight, a shared decoder, losses of the image."""

import pytest
import torch
from mmdet.registry import MODELS
from test_lavt import SENTENCES, WORDS, sample
from tiny_seqtr import fill_by_name

from mmrefseg.models.extended.late_lavt import SentenceGate, SharedMap, object_share
from mmrefseg.utils import UserInputError


def tiny(visual=True, **model):
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='LAVT',
            backbone=dict(
                type='LateLanguageSwin',
                channels=(8, 12, 16, 16),
                depths=(0, 1, 1, 1),
                num_heads=2,
                window_size=4,
                language_channels=16,
                visual_words=visual,
            ),
            language_model=dict(
                type='WordEncoder',
                vocabulary=dict(words=WORDS),
                max_tokens=6,
                embed_dims=8,
                hidden_dims=8,
                visual_dims=16 * visual,
            ),
            decode_head=dict(
                type='SharedLAVTHead',
                shared_channels=(8, 12),
                coarse_channels=(16, 16),
                channels=(6, 10),
                cell_weight=2.0,
                dice_loss=dict(type='DiceLoss', activate=False, eps=1.0),
            ),
            auxiliary_heads=[
                dict(type='CellCategoryHead', in_channels=16, num_categories=11),
                dict(type='WordHead', in_channels=16),
            ],
            **model,
        )
    )


def labelled(*args, **kwargs):
    result = sample(*args, **kwargs)
    count = len(result.expressions)
    result.gt_instances.labels = torch.arange(1, count + 1)
    edges = torch.tensor([[2.0, 2.0, 30.0, 30.0], [34.0, 2.0, 62.0, 30.0], [2.0, 34.0, 62.0, 62.0]])
    result.gt_instances.bboxes = edges[:count]
    return result


@pytest.mark.parametrize('visual', [True, False])
def test_every_parameter_learns(visual):
    model = tiny(visual).train()
    losses = model.loss(torch.randn(2, 3, 64, 64), [labelled(SENTENCES), labelled(['left'])])
    assert set(losses) == {'loss_mask', 'loss_dice', 'loss_cell', 'loss_category', 'loss_word'}
    sum(losses.values()).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # a constant before a softmax or a batch norm changes nothing
    assert [name for name in still if not name.endswith(('key.bias', 'reduce.bias'))] == []


def test_losses_are_the_recorded_ones():
    """What the same weights and images gave when the auxiliary heads were losses, and the gradient's norm."""
    model = fill_by_name(tiny()).train()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    samples = [labelled(SENTENCES, has_mask=[True, False, True]), labelled(['left'])]
    losses = model.loss(images, samples)
    recorded = dict(
        loss_mask=0.8131821, loss_dice=0.2475094, loss_cell=5.351526, loss_category=1.838846,
        loss_word=7.060169,
    )  # fmt: skip
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(recorded, rel=1e-5)
    sum(losses.values()).backward()
    norms = dict(backbone=19.157, language_model=3.745131, decode_head=2.286235, auxiliary_heads=1.638102)
    squares = dict.fromkeys(norms, 0.0)
    for name, parameter in model.named_parameters():
        squares[name.split('.')[0]] += parameter.grad.square().sum().item()
    assert {name: total**0.5 for name, total in squares.items()} == pytest.approx(norms, rel=1e-4)


def test_expressions_of_a_image_share_all_before_the_first_gate():
    model, images = tiny().eval(), torch.randn(2, 3, 64, 64)
    calls = {}
    for i, layer in enumerate(model.backbone.layers):
        layer.register_forward_hook(lambda _m, inputs, _o, i=i: calls.update({i: len(inputs[0])}))
    model.decode_head.shared[0].register_forward_hook(
        lambda _m, inputs, _o: calls.update(decoder=len(inputs[0]))
    )
    with torch.no_grad():
        together = model._forward(images, [sample(SENTENCES), sample(['left'])])
        assert calls == {0: 2, 1: 2, 2: 2, 3: 4, 'decoder': 2}
        rows = [(0, text) for text in SENTENCES] + [(1, 'left')]
        alone = torch.cat([model._forward(images[i : i + 1], [sample([text])]) for i, text in rows])
        each = model._sentence_logits(
            model.backbone.forward_image(images), [sample(SENTENCES), sample(['left'])]
        )
        model.test_cfg['sentences'] = 'cat'
        joined = model._sentence_logits(model.backbone.forward_image(images[1:]), [sample(['left'])])
    assert together.shape == (4, 2, 64, 64) and torch.allclose(together, alone, atol=1e-5)
    assert torch.allclose(joined[0], each[1], atol=1e-5)


def test_shared_maps_are_a_convolution_of_the_concatenation():
    head, index = tiny().eval().decode_head, torch.tensor([0, 0, 1])
    fine, middle = torch.randn(2, 8, 16, 16), torch.randn(2, 12, 8, 8)
    own = [torch.randn(3, 16, 4, 4) for _ in range(2)]

    def up(x):
        return torch.nn.functional.interpolate(x, scale_factor=2, mode='bilinear', align_corners=True)

    with torch.no_grad():
        x = head.reduce(torch.cat(own, 1))
        for i, skip in enumerate((middle, fine)):
            weight = torch.cat([head.own[i].weight, head.shared[i].weight], 1)
            x = torch.conv2d(torch.cat([up(x), skip[index]], 1), weight, padding=1)
            x = head.norms[i](x).relu()
        wanted = head.classifier(head.last(x))
        found = head([SharedMap(fine, index), SharedMap(middle, index), *own])
        repeated = head([SharedMap(fine[index], None), SharedMap(middle[index], None), *own])
    assert torch.allclose(found, wanted, atol=1e-5) and torch.allclose(repeated, wanted, atol=1e-5)


def test_cells_receive_the_words_that_fit_them():
    model = tiny().eval()
    backbone, encoder = model.backbone, model.language_model
    cells = torch.randn(1, 5, 16)
    tokens = encoder.tokenize(['red star'])
    words, mask = encoder(tokens)
    assert words.shape[-1] == encoder.out_channels == 16 + 17
    context, received = backbone._find_words(cells, words, mask)
    wanted = torch.zeros(5, 16)
    for position, word in enumerate(tokens.ids[0, :2]):
        fit = (cells[0] @ encoder.visual.weight[word] + encoder.visual.bias[word]).sigmoid()
        wanted += fit[:, None] * backbone.visual_words(context[0, position])
    assert torch.allclose(received[0], wanted, atol=1e-5)


def test_a_gate_tells_sentences_apart_before_its_attention_does():
    """With the same cells everywhere an instance norm leaves nothing; padding is never read."""
    torch.manual_seed(0)
    gate = SentenceGate(8, 6)
    x, words = torch.randn(1, 1, 1, 8).expand(2, 3, 3, 8), torch.randn(2, 4, 6)
    mask = torch.tensor([[True, True, False, False]] * 2)
    fused, gated = gate(x, words, mask, words[:, :2].amax(1))
    assert fused.shape == gated.shape == (2, 3, 3, 8)
    assert (fused[0] - fused[1]).abs().max() > 1e-2
    other = words.clone()
    other[:, 2:] += 1
    assert torch.equal(gate(x, other, mask, words[:, :2].amax(1))[0], fused)
    last, same = SentenceGate(8, 6, last=True)(x, words, mask, words[:, 0])
    assert torch.equal(same, x) and last.shape == x.shape


def test_object_share_sits_where_upsampling_puts_it():
    """A half plane's border comes back where it was, to a tenth of a pixel, wherever it lies."""
    for border in (10, 37, 64, 101, 119):
        mask = torch.zeros(1, 128, 128, dtype=torch.uint8)
        mask[:, :, border:] = 1
        share = object_share(mask, (32, 32))
        assert share.shape == (1, 32, 32) and share.min() == 0 and share.max() == 1
        back = torch.nn.functional.interpolate(share[None], (128, 128), mode='bilinear', align_corners=True)
        assert abs((1 - back[0, 0, 64]).sum() - border) < 0.5
        assert (back[0, 0] > 0.5).eq(mask[0] > 0).float().mean() > 0.99


def test_withheld_masks_teach_nothing_but_boxes_and_words_do():
    model, images = tiny().eval(), torch.randn(1, 3, 64, 64)
    hidden = labelled(SENTENCES[:2], has_mask=[False, False])
    losses = model.loss(images, [hidden])
    assert losses['loss_mask'] == losses['loss_cell'] == 0
    assert losses['loss_word'] > 0 and losses['loss_category'] > 0
    sum(losses.values()).backward()
    first = model.loss(images, [labelled(SENTENCES[:2], has_mask=[True, False])])
    other = labelled(SENTENCES[:2], has_mask=[True, False])
    other.gt_instances.masks.masks[1] = 1 - other.gt_instances.masks.masks[1]
    second = model.loss(images, [other])
    assert all(torch.equal(second[name], value) for name, value in first.items())


def test_one_sentence_alone_trains():
    losses = tiny().train().loss(torch.randn(1, 3, 64, 64), [labelled(['left'])])
    assert all(torch.isfinite(value) for value in losses.values())


def test_wrong_stages_are_said():
    with pytest.raises(UserInputError, match='equal channels from the third on'):
        MODELS.build(dict(type='LateLanguageSwin', channels=(8, 12, 16, 20), depths=(0, 1, 1, 1)))
