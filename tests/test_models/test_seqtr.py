"""The SeqTR / Partial-RES detector at a size for unit tests."""

import copy

import pytest
import torch
from hf_models import STAGES, TEXT
from mmdet.registry import MODELS
from tiny_seqtr import PARTIAL, WORDS, build_tiny, make_batch, tiny_config

from mmrefseg.experiments.encoder_trials import write_tokenizer
from mmrefseg.models.acceleration import accelerate, decelerate
from mmrefseg.utils import UserInputError

TASKS = {
    'rec': dict(with_box=True, with_mask=False),
    'res': dict(with_box=False, with_mask=True),
    'multi_task': dict(with_box=True, with_mask=True),
}
ABLATION = [
    {},
    dict(language_token=True, task_prompt=True),
    dict(language_token=True, task_prompt=True, co_content=True),
    PARTIAL,
]


def run_loss(model, batch):
    data = model.data_preprocessor(copy.deepcopy(batch), True)
    return model(**data, mode='loss')


def run_predict(model, batch):
    with torch.no_grad():
        return model.test_step(copy.deepcopy(batch))


@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('switches', ABLATION)
def test_every_parameter_gets_a_gradient(task, switches):
    model = build_tiny(**TASKS[task], **switches).train()
    losses = run_loss(model, make_batch())
    sum(value for key, value in losses.items() if key.startswith('loss')).backward()
    without = {name for name, p in model.named_parameters() if p.grad is None}
    # A single-task box sequence starts with zeros: the prompt of masks has nothing to learn there.
    expected = {'head.task_prompt.weight'} if 'task_prompt' in switches and task != 'res' else set()
    assert without == expected


def reached_by(model):
    """Parts of a model whose parameters have a gradient."""
    names = [name.split('.') for name, p in model.named_parameters() if p.grad is not None]
    return {'.'.join(parts[: 1 + (parts[0] == 'auxiliary_heads')]) for parts in names}


def test_auxiliary_heads_reach_the_backbone_and_nothing_after_it():
    config = tiny_config(**TASKS['rec'])
    config['neck'].update(downsample='unshuffle', residual=True, with_coordinates=True)
    config['auxiliary_heads'] = [
        dict(type='BoxCellHead', features='fused', in_channels=32),
        dict(type='WordHead', in_channels=32),
    ]
    torch.manual_seed(0)
    model = MODELS.build(config).train()
    losses = run_loss(model, make_batch())
    losses['loss_word'].backward(retain_graph=True)
    assert reached_by(model) == {'backbone', 'neck', 'auxiliary_heads.word'}
    losses['loss_fused_cell'].backward()
    expected = {'backbone', 'neck', 'language_model', 'auxiliary_heads.word', 'auxiliary_heads.fused_cell'}
    assert reached_by(model) == expected


def test_unshuffled_maps_keep_where_in_a_cell_something_lies():
    config = dict(type='MultiscaleFusion', in_channels=(16, 32, 64), out_channels=32)
    maps = [torch.zeros(1, 16, 8, 8), torch.zeros(1, 32, 4, 4), torch.zeros(1, 64, 2, 2)]
    moved = [maps[0].clone(), *maps[1:]]
    maps[0][..., 0, 0] = 1
    moved[0][..., 0, 1] = 1  # another pixel of the same cell
    for downsample, same in (('pool', True), ('unshuffle', False)):
        torch.manual_seed(0)
        neck = MODELS.build({**config, 'downsample': downsample}).eval()
        assert torch.allclose(neck.forward_vision(maps), neck.forward_vision(moved)) is same
    with pytest.raises(ValueError, match='downsample'):
        MODELS.build({**config, 'downsample': 'skip'})


def test_a_residual_gate_turns_nothing_off():
    neck = MODELS.build(
        dict(type='MultiscaleFusion', in_channels=(16, 32, 64), out_channels=4, residual=True)
    )
    vision, silent = torch.randn(2, 4, 3, 3), torch.zeros(3, 4)
    index = torch.tensor([0, 1, 1])
    assert neck.fuse(vision, silent, index)[0].equal(vision[index])
    assert neck.fuse(vision, silent - 20, index)[0].abs().max() < 1e-6


@pytest.mark.parametrize('task', TASKS)
def test_prediction_has_one_row_per_expression_in_the_original_frame(task):
    model = build_tiny(**TASKS[task], **PARTIAL)
    batch = make_batch()
    for sample, source in zip(run_predict(model, batch), batch['data_samples'], strict=True):
        found = sample.pred_instances
        count = len(source.expressions)
        assert len(found) == count
        assert ((found.scores > 0) & (found.scores <= 1)).all()
        assert found.bboxes.shape == (count, 4)
        if TASKS[task]['with_mask']:
            assert found.masks.shape == (count, *source.ori_shape)
            assert found.masks.dtype == torch.bool
            width = source.ori_shape[1]
            points = found.points[~found.points.isnan().any(-1)]
            # the first three points always come: the end is not allowed before
            assert len(points) >= 3 * count
            # coordinates are relative to the size rounded up to 32: up to that, in the original frame
            assert (points >= 0).all() and (points <= torch.tensor([width, 2 * 64])).all()


@pytest.mark.parametrize('change', [decelerate, accelerate])
@pytest.mark.parametrize('switches', ABLATION)
def test_cached_decoding_equals_recomputing_the_prefix(switches, change):
    """Greedy decoding with caches against the plain way: the whole prefix again at every step."""
    model = build_tiny(**TASKS['res'], **switches)
    data = model.data_preprocessor(make_batch(), False)
    with torch.no_grad():
        memory = model.encode(batch_inputs=data['inputs'], batch_data_samples=data['data_samples'])
        out = change(model).head.predict(memory, keep_logits=True).masks
        head = decelerate(model).head
        tokens = out.tokens[:, :-1]
        inputs, _, _ = head.build_sequence(None, tokens, memory)
        recomputed = torch.stack([head.decode(inputs[:, : n + 1], memory)[:, -1] for n in range(13)], 1)
    torch.testing.assert_close(out.logits, recomputed, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('change', [decelerate, accelerate])
@pytest.mark.parametrize('task', TASKS)
def test_prediction_needs_no_one_to_switch_gradients_off(task, change):
    model = change(build_tiny(**TASKS[task], **PARTIAL))
    data = model.data_preprocessor(make_batch(), False)
    found = []
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            out = model.head.predict(model.encode(data['inputs'], data['data_samples']))
        sequence = out.boxes if out.masks is None else out.masks
        found.append(sequence.tokens)
        assert not out.scores.requires_grad and not sequence.tokens.is_inference()
    assert torch.equal(*found)


def test_several_places_at_once_behind_those_of_a_cache():
    model = build_tiny(**TASKS['res'], **PARTIAL)
    data, decoder = model.data_preprocessor(make_batch(), False), model.head.decoder
    with torch.no_grad():
        memory = model.encode(batch_inputs=data['inputs'], batch_data_samples=data['data_samples'])
        x = torch.randn(4, 9, 32)
        cache = decoder.start(first_position=2)
        parts = [decoder(part, memory, cache=cache) for part in x.split((4, 1, 4), 1)]
        assert cache.position == 11
        torch.testing.assert_close(
            torch.cat(parts, 1), decoder(x, memory, first_position=2), rtol=1e-4, atol=1e-5
        )


def test_expressions_of_one_image_share_the_backbone_and_do_not_mix():
    model = build_tiny(**TASKS['res'], **PARTIAL)
    together = run_predict(model, make_batch(sizes=((64, 64),), pairs=(3,)))[0].pred_instances
    calls = []
    handle = model.backbone.register_forward_hook(lambda *_: calls.append(1))
    single = []
    for index in range(3):
        batch = make_batch(sizes=((64, 64),), pairs=(3,))
        sample = batch['data_samples'][0]
        sample.set_metainfo(dict(expressions=[sample.expressions[index]]))
        sample.gt_instances = sample.gt_instances[index : index + 1]
        single.append(run_predict(model, batch)[0].pred_instances)
    handle.remove()
    assert len(calls) == 3
    assert torch.equal(together.masks, torch.cat([item.masks for item in single]))
    torch.testing.assert_close(together.scores, torch.cat([item.scores for item in single]))


def test_what_lies_in_the_padding_is_not_looked_at():
    model = build_tiny(**TASKS['res'], **PARTIAL)
    data = model.data_preprocessor(make_batch(), False)
    with torch.no_grad():
        memory = model.encode(data['inputs'], data['data_samples'])
        assert memory.padding[-1].sum() == 4 and not memory.padding[0].any()  # 48 of 64 rows, stride 16
        before = model.head.predict(memory, keep_logits=True).masks.logits
        memory.tokens[memory.padding] += 7
        after = model.head.predict(memory, keep_logits=True).masks.logits
        memory.tokens[:, 0] += 7
        elsewhere = model.head.predict(memory, keep_logits=True).masks.logits
    torch.testing.assert_close(before, after)
    assert not torch.allclose(before, elsewhere)


def test_confined_decoding_stays_in_the_box():
    model = build_tiny(**TASKS['res'], **PARTIAL)
    model.test_cfg['confine_to_box'] = True
    batch = make_batch()
    for sample in batch['data_samples']:
        sample.gt_instances.bboxes[:] = torch.tensor([32.0, 40.0, 64.0, 88.0])  # original frame
    for sample in run_predict(model, batch):
        points = sample.pred_instances.points
        points = points[~points.isnan().any(-1)]
        assert len(points)
        bin_size = 2 * 64 / 16
        assert (points[:, 0] >= 32 - bin_size).all() and (points[:, 0] <= 64 + bin_size).all()
        assert (points[:, 1] >= 40 - bin_size).all() and (points[:, 1] <= 88 + bin_size).all()


def test_withheld_masks_do_not_count():
    model = build_tiny(**TASKS['res'], **PARTIAL)
    batch = make_batch()
    everything = run_loss(model, batch)['loss_mask']
    masked = copy.deepcopy(batch)
    first = masked['data_samples'][0].gt_instances
    first.has_mask = torch.tensor([True, False, True])
    first.mask_tokens[1] = 15  # garbage that nobody may see
    changed = copy.deepcopy(masked)
    changed['data_samples'][0].gt_instances.mask_tokens[1] = 3
    loss = run_loss(model, masked)['loss_mask']
    assert torch.equal(loss, run_loss(model, changed)['loss_mask'])
    assert not torch.equal(loss, everything)


def test_frozen_layers_keep_weights_and_statistics():
    config = tiny_config(**TASKS['res'])
    config['backbone']['frozen_layers'] = 6
    for norm_eval in (True, False):
        config['backbone']['norm_eval'] = norm_eval
        model = MODELS.build(copy.deepcopy(config)).train()
        before = model.backbone.layers[0].bn.running_mean.clone()
        run_loss(model, make_batch())['loss_mask'].backward()
        assert model.backbone.layers[0].conv.weight.grad is None
        assert model.backbone.layers[7].conv.weight.grad is not None
        assert torch.equal(before, model.backbone.layers[0].bn.running_mean) == norm_eval


def test_tensor_mode_gives_tokens():
    model = build_tiny(**TASKS['multi_task'], **PARTIAL)
    data = model.data_preprocessor(make_batch(), False)
    tokens = model(**data, mode='tensor')
    assert tokens['box_tokens'].shape == (4, 4) and (tokens['box_tokens'] < 16).all()
    assert tokens['mask_tokens'].shape == (4, 13) and (tokens['mask_tokens'] <= 16).all()


def test_a_batch_of_one_sentence_trains():
    """The last batch of an epoch may hold one image with one expression."""
    config = tiny_config(**TASKS['res'], **PARTIAL)
    config['language_model']['batch_norm'] = True
    model = MODELS.build(config).train()
    run_loss(model, make_batch())  # gives the normalisation running statistics
    losses = run_loss(model, make_batch(sizes=((64, 64),), pairs=(1,)))
    assert losses['loss_mask'].isfinite()
    losses['loss_mask'].backward()
    assert model.language_model.gru.weight_ih_l0.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ('part', 'options', 'sentence'),
    [
        (
            'backbone',
            dict(type='HFBackbone', config=dict(model_type='resnet', **STAGES)),
            r'backbone: found out_channels \(16, 24, 32\), expected \(16, 32, 64\), the neck.s in_channels',
        ),
        (
            'language_model',
            dict(type='GRUEncoder', vocabulary=dict(words=WORDS), hidden_dims=8),
            'language_model: found out_channels 16, expected 32, the neck.s out_channels',
        ),
    ],
)
def test_encoders_of_other_channels_than_the_neck_reads(part, options, sentence):
    with pytest.raises(UserInputError, match=sentence):
        MODELS.build(tiny_config() | {part: options})


def test_words_instead_of_a_sentence(tmp_path):
    text = dict(type='HFTextEncoder', config=dict(model_type='bert', **TEXT), out_channels=32)
    text['tokenizer'] = str(write_tokenizer(tmp_path, WORDS))
    with pytest.raises(UserInputError, match="language_model: found output='words', expected output='sent"):
        MODELS.build(tiny_config() | dict(language_model=text))
    assert MODELS.build(tiny_config() | dict(language_model=dict(text, output='sentence')))
