"""Contours in the frame of a box."""

import pytest
import torch
from tiny_seqtr import PARTIAL, build_tiny, make_batch

from mmrefseg.models.layers import BoxFrame

FRAME = BoxFrame(num_bins=128, margin=2.0)


def test_a_shape_has_the_same_tokens_wherever_it_lies():
    shape = torch.tensor([[0, 0, 19, 3, 10, 39]])
    near = torch.tensor([[0, 0, 19, 39]])
    offset = torch.tensor([[60, 31, 60, 31, 60, 31]])
    far = near + offset[:, :4]
    assert FRAME.to_box(shape, near).equal(FRAME.to_box(shape + offset, far))


def test_box_and_back_is_within_a_bin():
    generator = torch.Generator().manual_seed(0)
    low = torch.randint(2, 40, (200, 2), generator=generator)
    boxes = torch.cat([low, low + torch.randint(3, 80, (200, 2), generator=generator)], 1).clamp(max=127)
    share = torch.rand(200, 12, generator=generator)
    tokens = (boxes[:, :2].repeat(1, 6) + share * (boxes[:, 2:] - boxes[:, :2]).repeat(1, 6)).long()
    back = FRAME.to_picture(FRAME.to_box(tokens, boxes), boxes)
    assert (back - tokens).abs().max() <= 1


def test_known_values():
    # x from 10 - 2 to 30 + 1 + 2: 25 bins of the picture over 128 of the box
    token = torch.tensor([[20]])
    boxes = torch.tensor([[10, 0, 30, 10]])
    assert FRAME.to_box(token, boxes).item() == int((20.5 - 8) / 25 * 128)
    # y from -2 to 13
    assert FRAME.to_box(token, boxes, place=1).item() == 127  # outside: the edge
    assert FRAME.to_box(torch.tensor([[5]]), boxes, place=1).item() == int(7.5 / 15 * 128)


def test_the_end_stays_the_end_and_a_box_inside_out_does_no_harm():
    boxes = torch.tensor([[50, 50, 20, 20]])
    tokens = torch.tensor([[128, 0, 127, 128]])
    for moved in (FRAME.to_box(tokens, boxes), FRAME.to_picture(tokens, boxes)):
        assert moved[0, 0] == moved[0, 3] == 128
        assert ((moved[0, 1:3] >= 0) & (moved[0, 1:3] < 128)).all()


def test_steps_of_the_decoder_give_the_logits_of_teacher_forcing():
    model = build_tiny(with_box=True, with_mask=True, box_frame=True, **PARTIAL)
    batch = make_batch()
    data = model.data_preprocessor(batch, False)
    head = model.head
    with torch.no_grad():
        memory = model.encode(data['inputs'], data['data_samples'])
        out = head.predict(memory, keep_logits=True)
        choices = out.masks.logits.clone()
        choices[:, :6, head.codec.end_token] = float('-inf')  # no end before three points
        written = choices.argmax(-1)[:, :-1]
        in_picture = head.box_frame.to_picture(written, out.boxes.tokens)
        assert out.masks.tokens[:, :-1].equal(in_picture)
        box = [head._start('box', 4)[:, None], head._embed(out.boxes.tokens, memory)]
        mask = [head._start('mask', 4)[:, None], head._embed(in_picture, memory, written)]
        logits = head.decode(torch.cat(box + mask, 1), memory)
    assert torch.allclose(logits[:, :4], out.boxes.logits, atol=1e-5)
    assert torch.allclose(logits[:, 5:], out.masks.logits, atol=1e-5)


def test_targets_are_in_the_frame():
    model = build_tiny(with_box=True, with_mask=True, box_frame=True, **PARTIAL)
    data = model.data_preprocessor(make_batch(), False)
    boxes = torch.tensor([[2, 3, 9, 12]]).repeat(4, 1)
    tokens = torch.tensor([[2, 3, 9, 3, 9, 12, 2, 12, 16, 16, 16, 16]]).repeat(4, 1)
    with torch.no_grad():
        memory = model.encode(data['inputs'], data['data_samples'])
        inputs, targets, weights = model.head.build_sequence(boxes, tokens, memory)
    assert targets[:, 5:-1].equal(model.head.box_frame.to_box(tokens, boxes))
    assert targets[:, :4].equal(boxes)
    assert inputs.shape[:2] == targets.shape == weights.shape == (4, 18)


def test_a_known_box_stands_in_for_the_predicted_one():
    model = build_tiny(with_box=True, with_mask=True, box_frame=True, **PARTIAL)
    data = model.data_preprocessor(make_batch(), False)
    known = torch.tensor([[2, 3, 9, 12]]).repeat(4, 1)
    with torch.no_grad():
        out = model.head.predict(model.encode(data['inputs'], data['data_samples']), bins=known)
    assert out.boxes.tokens.equal(known)
    vertices = out.masks.tokens[:, :-1].unflatten(1, (-1, 2))
    inside = vertices[(vertices < 16).all(-1)]
    assert len(inside) > 0
    assert ((inside >= known[0, :2] - 1) & (inside <= known[0, 2:] + 1)).all()


def test_a_rec_checkpoint_gives_the_box_its_places():
    rec = build_tiny(seed=1, with_box=True, with_mask=False, **PARTIAL)
    both = build_tiny(seed=2, with_box=True, with_mask=True, box_frame=True, **PARTIAL)
    own = both.head.decoder.position.weight.detach().clone()
    missing = both.load_state_dict(rec.state_dict(), strict=False)
    assert missing.missing_keys == ['head.task_embedding.weight']
    assert not missing.unexpected_keys
    position = both.head.decoder.position.weight
    assert position[:5].equal(rec.head.decoder.position.weight)
    assert position[5:].equal(own[5:])


def test_a_frame_needs_a_box():
    with pytest.raises(ValueError, match='box_frame'):
        build_tiny(with_box=False, with_mask=True, box_frame=True)
