"""Contours in the frame of a box, read from features of that box."""

import pytest
import torch
from tiny_seqtr import PARTIAL, build_tiny, make_batch

from mmrefseg.models.extended.box_frame import BOX_POSITIONS, BoxFrame, contours_of_cells
from mmrefseg.models.heads.sequence_generator import sequence_score
from mmrefseg.models.layers.memory import Memory
from mmrefseg.utils import UserInputError

ROI = dict(
    type='BoxFrameHead', with_box=True, with_mask=True, map_channels=(16, 32), grid=4,
    mask_cell_head=dict(type='MaskCellHead'), **{**PARTIAL, 'task_prompt': False},
)  # fmt: skip
KNOWN = torch.tensor([[2, 3, 9, 12]]).repeat(4, 1)


@pytest.fixture
def encoded():
    """A model with weights from a seed and the memory of four expressions."""
    model = build_tiny(**ROI)
    data = model.data_preprocessor(make_batch(), False)
    with torch.no_grad():
        yield model, model.encode(data['inputs'], data['data_samples'])


def frame_of(*box: int, **kwargs) -> BoxFrame:
    return BoxFrame.around(torch.tensor([box]), 128, **kwargs)


def test_a_shape_has_the_same_tokens_wherever_it_lies():
    shape = torch.tensor([[0, 0, 19, 3, 10, 39]])
    offset = torch.tensor([[60, 31]])
    near, far = frame_of(0, 0, 19, 39, margin=0.1), frame_of(60, 31, 79, 70, margin=0.1)
    assert near.to_box(shape).equal(far.to_box(shape + offset.repeat(1, 3)))


def test_box_and_back_is_within_a_bin():
    generator = torch.Generator().manual_seed(0)
    low = torch.randint(2, 40, (200, 2), generator=generator)
    boxes = torch.cat([low, low + torch.randint(8, 80, (200, 2), generator=generator)], 1)
    share = torch.rand(200, 12, generator=generator)
    tokens = (boxes[:, :2].repeat(1, 6) + share * (boxes[:, 2:] - boxes[:, :2]).repeat(1, 6)).long()
    frame = BoxFrame.around(boxes, 128, margin=0.15)
    assert (frame.to_image(frame.to_box(tokens)) - tokens).abs().max() <= 1


def test_known_values():
    frame = frame_of(10, 0, 30, 10, margin=0.1)  # centres of bins: 10.5 to 30.5, 0.5 to 10.5
    assert torch.allclose(frame.low, torch.tensor([[8.5, -0.5]]))
    assert torch.allclose(frame.size, torch.tensor([[24.0, 12.0]]))
    assert frame.to_box(torch.tensor([[20, 5]])).tolist() == [[64, 64]]
    assert frame.to_box(torch.tensor([[0, 127]])).tolist() == [[0, 127]]  # outside: the edge
    x, y = frame.centers(2)
    assert torch.allclose(x, torch.tensor([[14.5, 26.5]]))
    assert torch.allclose(y, torch.tensor([[2.5, 8.5]]))


def test_the_end_stays_the_end_and_a_box_inside_out_is_turned():
    frame = frame_of(50, 50, 20, 20)
    assert torch.allclose(frame.low, frame_of(20, 20, 50, 50).low)
    assert torch.allclose(frame_of(9, 9, 9, 9).size, torch.tensor([[8.0, 8.0]]))
    tokens = torch.tensor([[128, 0, 127, 128]])
    for moved in (frame.to_box(tokens), frame.to_image(tokens)):
        assert moved[0, 0] == moved[0, 3] == 128
        assert ((moved[0, 1:3] >= 0) & (moved[0, 1:3] < 128)).all()


def test_noise_moves_sides_by_the_share_asked_for():
    torch.manual_seed(0)
    frame = BoxFrame.around(torch.tensor([[20, 40, 60, 120]]).repeat(4000, 1), 128, jitter=0.05)
    high = frame.low + frame.size
    assert torch.allclose(frame.low.std(0), torch.tensor([2.0, 4.0]), rtol=0.05)
    assert torch.allclose(high.std(0), torch.tensor([2.0, 4.0]), rtol=0.05)
    assert torch.allclose(high.mean(0), torch.tensor([60.5, 120.5]), atol=0.3)


def test_features_are_those_of_the_positions_they_are_sampled_at():
    """Maps that hold their own coordinates give the coordinates of the frame's cells, padding or not."""
    model = build_tiny(**ROI)
    ramp = torch.linspace(0, 1, 65)[:-1] + 0.5 / 64
    maps = torch.stack([ramp.expand(64, 64), ramp[:, None].expand(64, 64)])[None]
    # one image fills the batch, the bins of the other span half of its width
    memory = Memory(
        torch.zeros(2, 16, 4), torch.zeros(2, 16, 4), torch.zeros(2, 16, dtype=torch.bool), (4, 4),
        torch.tensor([[4.0, 4.0], [2.0, 4.0]]), torch.tensor([[4.0, 4.0], [2.0, 4.0]]),
    )  # fmt: skip
    frame = BoxFrame(torch.tensor([[4.0, 8.0]] * 2), torch.tensor([[8.0, 4.0]] * 2), 16)
    x, y = model.head.roi_memory._sample(maps.expand(2, -1, -1, -1), memory, frame, 2).unbind(1)
    assert torch.allclose(x[0], torch.tensor([[6.0, 10.0]] * 2) / 16)
    assert torch.allclose(x[1], torch.tensor([[3.0, 5.0]] * 2) / 16)
    assert torch.allclose(y[0], torch.tensor([[9.0] * 2, [11.0] * 2]) / 16)
    assert torch.allclose(y[1], y[0])


def test_steps_of_the_decoder_give_the_logits_of_teacher_forcing(encoded):
    model, memory = encoded
    head = model.head
    out = head.predict(memory, keep_logits=True)
    choices = out.masks.logits.clone()
    choices[:, :6, head.codec.end_token] = float('-inf')  # no end before three points
    decoded = choices.argmax(-1)[:, :-1]
    roi, frame = head.roi_features(memory, out.boxes.tokens)
    assert out.masks.tokens[:, :-1].equal(frame.to_image(decoded))
    inputs, targets, _ = head.task_sequence('mask', decoded, roi)
    assert targets[:, :-1].equal(decoded)
    logits = head.predictor(head.decoder(inputs, roi, BOX_POSITIONS))
    assert torch.allclose(logits, out.masks.logits, atol=1e-5)


def test_a_known_box_stands_in_for_the_predicted_one(encoded):
    model, memory = encoded
    out = model.head.predict(memory, bins=KNOWN)
    assert out.boxes.tokens.equal(KNOWN)
    vertices = out.masks.tokens[:, :-1].unflatten(1, (-1, 2))
    inside = vertices[(vertices < 16).all(-1)]
    assert len(inside) > 0
    assert ((inside >= KNOWN[0, :2] - 1) & (inside <= KNOWN[0, 2:] + 1)).all()


def test_withheld_masks_teach_nothing_and_every_parameter_has_a_gradient():
    model = build_tiny(**ROI).train()
    data = model.data_preprocessor(make_batch(), True)

    def losses(has_mask: list[bool], seed: int = 0) -> dict:
        first = 0
        for sample in data['data_samples']:
            count = len(sample.gt_instances)
            sample.gt_instances.has_mask = torch.tensor(has_mask[first : first + count])
            first += count
        torch.manual_seed(seed)
        return model.loss(data['inputs'], data['data_samples'])

    none = losses([False] * 4)
    assert none['loss_mask'] == 0
    assert none['loss_mask_cell'] == 0
    sum(value for key, value in none.items() if key.startswith('loss')).backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    some = losses([True, False, False, True])
    assert some['loss_mask'] > 0
    data['data_samples'][0].gt_instances.mask_tokens[1] = 3  # withheld: whatever it says
    assert losses([True, False, False, True])['loss_mask'] == some['loss_mask']


def test_more_jittered_boxes_are_more_contours_of_the_same_weight(encoded):
    model, memory = encoded
    head, counts = model.head, torch.tensor([True, True, False, False])
    tokens = torch.full((4, head.num_mask_tokens), 7)
    head.jitter = 0.0
    once = head.loss(memory, KNOWN, tokens, counts)
    head.jitters = 3
    thrice = head.loss(memory, KNOWN, tokens, counts)
    for key in ('loss_box', 'loss_mask', 'loss_mask_cell'):
        assert torch.allclose(once[key], thrice[key], rtol=1e-4)
    head.jitter = 0.2
    assert not torch.allclose(once['loss_mask'], head.loss(memory, KNOWN, tokens, counts)['loss_mask'])


def test_without_a_weight_the_decoder_gets_no_contours_and_the_cells_the_same(encoded):
    model, memory = encoded
    head, tokens = model.head, torch.full((4, model.head.num_mask_tokens), 7)
    head.jitter = 0.0
    arguments = (memory, KNOWN, tokens, torch.tensor([True, True, False, False]))
    whole = head.loss(*arguments)
    head.mask_weight = 0.0
    cells = head.loss(*arguments)
    assert set(whole) - set(cells) == {'loss_mask', 'acc_token'}
    assert all(torch.equal(cells[key], whole[key]) for key in ('loss_box', 'loss_mask_cell'))


def test_contours_around_the_cells_follow_a_dense_mask(encoded):
    """A disc in the cells' logits becomes a contour that fills the same disc, in the image's bins."""
    head = encoded[0].head
    center = torch.arange(32) + 0.5 - 16
    disc = 10 - (center**2 + center[:, None] ** 2).sqrt()
    found = contours_of_cells(torch.stack([disc, torch.full((32, 32), -1.0)]), head.codec)
    assert found.tokens.shape == (2, head.num_mask_tokens + 1)
    assert (found.tokens[1] == head.codec.end_token).all()
    vertices = (found.tokens[0, :-1].unflatten(0, (-1, 2)) + 0.5) * 32 / head.codec.num_bins - 16
    assert ((vertices.norm(dim=1) - 10).abs() < 32 / head.codec.num_bins).all()  # within a bin
    expected = torch.sigmoid(torch.stack([disc.abs().flatten(), torch.ones(1024)])).mean(1)
    assert torch.allclose(sequence_score(found, head.codec.end_token), expected)


def test_pseudo_points_may_come_from_the_cells(encoded):
    model, memory = encoded
    head = model.head
    by_decoder = head.predict(memory)
    head.contours_from = 'cells'
    by_cells = head.predict(memory)
    assert by_cells.boxes.tokens.equal(by_decoder.boxes.tokens)
    # decoding is in inference mode, what it gives is not
    assert not any(found.boxes.tokens.is_inference() for found in (by_cells, by_decoder))
    roi, frame = head.roi_features(memory, by_cells.boxes.tokens)
    dense = head.mask_cell_head(roi.image_tokens)
    grid, parts = head.roi_memory.grid, head.mask_cell_head.parts
    logits = head.mask_cell_head.classifier(roi.image_tokens)  # (M, G, G, S * S)
    assert dense[1, 2 * parts + 1, 3 * parts + 2] == logits[1, 2, 3, parts + 2]
    assert dense.shape == (4, grid * parts, grid * parts)
    assert by_cells.masks.tokens.equal(frame.to_image(contours_of_cells(dense, head.codec).tokens))
    confined = head.predict(memory, bins=KNOWN).masks.tokens[:, :-1].unflatten(1, (-1, 2))
    inside = confined[(confined < head.codec.num_bins).all(-1)]
    assert ((inside >= KNOWN[0, :2] - 1) & (inside <= KNOWN[0, 2:] + 1)).all()


def test_contours_from_cells_need_cells():
    with pytest.raises(UserInputError, match="BoxFrameHead contours_from: found 'cells', expected"):
        build_tiny(**{**ROI, 'mask_cell_head': None, 'contours_from': 'cells'})
    with pytest.raises(UserInputError, match="contours_from: found 'guess'"):
        build_tiny(**{**ROI, 'contours_from': 'guess'})


def test_a_rec_checkpoint_gives_the_box_its_positions():
    rec = build_tiny(seed=1, with_box=True, with_mask=False, **{**PARTIAL, 'task_prompt': False})
    both = build_tiny(seed=2, **ROI)
    own = both.head.decoder.position.weight.detach().clone()
    missing = both.load_state_dict(rec.state_dict(), strict=False)
    new = ('head.task_embedding', 'head.roi_memory', 'head.mask_cell_head')
    assert all(key.startswith(new) for key in missing.missing_keys)
    assert not missing.unexpected_keys
    position = both.head.decoder.position.weight
    assert position[:BOX_POSITIONS].equal(rec.head.decoder.position.weight)
    assert position[BOX_POSITIONS:].equal(own[BOX_POSITIONS:])


def test_it_needs_box_and_mask():
    with pytest.raises(UserInputError, match='found with_box=False and with_mask=True, expected both True'):
        build_tiny(**{**ROI, 'with_box': False})
