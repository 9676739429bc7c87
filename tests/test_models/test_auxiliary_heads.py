"""Auxiliary heads against plain loops, and whole networks against recorded losses and gradients."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from tiny_seqtr import PARTIAL, fill_by_name, make_batch, tiny_config
from torch import nn

from mmrefseg.models.extended.auxiliary_heads import (
    BoxCellHead,
    CellCategoryHead,
    MaskCellHead,
    WordHead,
    box_coverage,
    cell_labels,
    fill_contour,
)
from mmrefseg.models.heads.auxiliary import AuxiliaryInputs, build_auxiliary_heads
from mmrefseg.models.layers.memory import Memory
from mmrefseg.utils import UserInputError

HEADS = [
    dict(type='CellCategoryHead', in_channels=32, num_categories=5),
    dict(type='WordHead', in_channels=32),
    dict(type='BoxCellHead', features='fused', in_channels=32, loss_weight=3.0),
    dict(type='BoxCellHead', features='encoded', in_channels=32, loss_weight=6.0),
]
BOX_FRAME = dict(
    type='BoxFrameHead', with_mask=True, map_channels=(16, 32), grid=4, jitters=2, mask_weight=3.0,
    mask_cell_head=dict(type='MaskCellHead', loss_weight=3.0),
)  # fmt: skip
# What the same weights and images gave when these heads were losses: each loss, and the gradient's norm.
RECORDED = {
    'boxes': (
        dict(),
        dict(
            loss_box=3.503518, loss_category=1.647456, loss_word=6.854700, loss_fused_cell=2.210559,
            loss_encoded_cell=4.410089, acc_token=10.0,
        ),
        dict(
            backbone=60.44997, language_model=2.608067, neck=30.65594, head=13.34182,
            auxiliary_heads=8.411229,
        ),
    ),
    'masks': (
        BOX_FRAME,
        dict(
            loss_box=3.491587, loss_mask=8.416973, loss_mask_cell=2.483247, loss_category=1.647456,
            loss_word=6.854700, loss_fused_cell=2.210559, loss_encoded_cell=4.410089, acc_token=6.410256,
        ),
        dict(
            backbone=63.25113, language_model=2.853586, neck=31.38891, head=15.32372,
            auxiliary_heads=8.411229,
        ),
    ),
}  # fmt: skip


def inputs_of(**given) -> AuxiliaryInputs:
    names = ['vision', 'stride', 'boxes', 'labels', 'image_index', 'box_cells', 'words', 'language_model']
    return AuxiliaryInputs(**{**dict.fromkeys(names), **given})


def memory_of(cells: torch.Tensor, padding: torch.Tensor) -> Memory:
    m, h, w, _ = cells.shape
    full = torch.tensor([[w, h]] * m).float()
    tokens = cells.flatten(1, 2)
    return Memory(tokens, torch.zeros_like(tokens), padding.flatten(1), (h, w), full, full)


@pytest.mark.parametrize('stage', RECORDED)
def test_losses_and_gradients_are_the_recorded_ones(stage):
    head, recorded, norms = RECORDED[stage]
    switches = {**PARTIAL, 'task_prompt': False, 'with_box': True, 'with_mask': False}
    config = tiny_config(**(switches | head if head else {**switches, 'task_prompt': True}))
    model = fill_by_name(MODELS.build({**config, 'auxiliary_heads': HEADS})).train()
    data = model.data_preprocessor(make_batch(), True)
    first = data['data_samples'][0].gt_instances
    first.has_mask = torch.tensor([True, False, True])
    first.labels = torch.tensor([1, 3, 2])
    first.bboxes = torch.tensor([[3.0, 8, 40, 44], [20, 2, 61, 30], [5, 6, 30, 60]])
    torch.manual_seed(1)
    losses = model.loss(data['inputs'], data['data_samples'])
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(recorded, rel=1e-5)
    sum(value for name, value in losses.items() if name.startswith('loss')).backward()
    squares = dict.fromkeys(norms, 0.0)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            squares[name.split('.')[0]] += parameter.grad.square().sum().item()
    assert {name: total**0.5 for name, total in squares.items()} == pytest.approx(norms, rel=1e-4)


def test_heads_are_known_by_name():
    """What a checkpoint calls them does not depend on which others there are."""
    model = nn.Module()
    model.vocabulary = range(9)
    heads = build_auxiliary_heads(HEADS, model)
    assert list(heads) == ['category', 'word', 'fused_cell', 'encoded_cell']
    assert heads['word'].classifier.out_features == 9
    fewer = build_auxiliary_heads(HEADS[1:3], model)
    assert fewer.state_dict().keys() < heads.state_dict().keys()
    assert not build_auxiliary_heads((), model).state_dict()
    with pytest.raises(UserInputError, match="two heads called 'word'"):
        build_auxiliary_heads([HEADS[1], HEADS[0], HEADS[1]], model)


def test_box_coverage_of_cells():
    boxes = torch.tensor([[0.5, 1.0, 2.0, 1.25], [0.0, 0.0, 3.0, 2.0]])
    coverage = box_coverage(boxes, (2, 3))
    assert coverage[0].tolist() == [[0, 0, 0], [0.125, 0.25, 0]]
    assert (coverage[1] == 1).all()


@pytest.mark.parametrize('features', ['fused', 'encoded'])
def test_box_cells_by_a_plain_loop_without_padding(features):
    torch.manual_seed(0)
    head = BoxCellHead(4, features, positive_weight=3.0, loss_weight=2.0).double()
    cells = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    padding = torch.tensor([[[False] * 3, [False, True, True]]])
    boxes = torch.tensor([[0.5, 0.0, 1.0, 2.0]], dtype=torch.float64)

    def loss(cells):
        shown = dict(memory=memory_of(cells, padding))
        if features == 'fused':  # the encoder's output is not what it looks at
            shown = dict(memory=memory_of(cells + 1, padding), fused=cells.permute(0, 3, 1, 2))
        losses = head.loss(inputs_of(box_cells=boxes, **shown))
        assert list(losses) == [f'loss_{features}_cell']
        return losses[f'loss_{features}_cell']

    total = 0.0
    for y, x in ((0, 0), (0, 1), (0, 2), (1, 0)):
        p = torch.sigmoid(head.classifier.weight[0] @ cells[0, y, x] + head.classifier.bias[0])
        share = 0.5 if x == 0 else 0.0
        total -= 3 * share * torch.log(p) + (1 - share) * torch.log(1 - p)
    assert loss(cells).item() == pytest.approx(2 * total.item() / 4)
    before = loss(cells).item()
    cells[:, 1, 1:] += 5
    assert loss(cells).item() == before


def test_box_cells_need_an_encoder_and_a_map_that_there_is():
    with pytest.raises(UserInputError, match="features='vision', expected 'fused' or 'encoded'"):
        BoxCellHead(4, 'vision')
    with pytest.raises(UserInputError, match='BoxCellHead in a segmentor without an encoder'):
        BoxCellHead(4, 'encoded').loss(inputs_of(box_cells=torch.zeros(1, 4)))


def test_cells_get_the_category_of_the_smallest_box():
    boxes = torch.tensor([[0.0, 0.0, 48.0, 32.0], [16.0, 0.0, 32.0, 16.0]])
    labels = cell_labels(boxes, torch.tensor([3, 7]), (3, 4), (16.0, 16.0))
    assert labels.tolist() == [[3, 7, 3, -1], [3, 3, 3, -1], [-1, -1, -1, -1]]
    head, vision = CellCategoryHead(2, 8, loss_weight=0.5), torch.randn(1, 2, 3, 4)
    seen = inputs_of(vision=vision, boxes=[boxes], labels=[torch.tensor([3, 7])], stride=(16, 16))
    surprise = -head.classifier(vision).log_softmax(1)[0]
    expected = sum(surprise[labels[y, x], y, x] for y in range(2) for x in range(3)) / 6
    assert head.loss(seen)['loss_category'].item() == pytest.approx(0.5 * expected.item(), rel=1e-5)
    none = inputs_of(vision=vision, boxes=[boxes[:0]], labels=[labels[0, :0]], stride=(16, 16))
    assert head.loss(none)['loss_category'].item() == 0


@pytest.mark.parametrize('shared', [False, True])
def test_words_by_a_plain_loop(shared):
    torch.manual_seed(0)
    language_model = nn.Module()
    language_model.vocabulary = range(9)
    language_model.visual = nn.Linear(5, 9) if shared else None
    head = WordHead(in_channels=5, loss_weight=0.5)
    head.connect(language_model)
    assert (head.classifier is None) == shared
    classifier = (language_model.visual if shared else head.classifier).double()
    vision = torch.randn(2, 5, 4, 4, dtype=torch.float64)
    index = torch.tensor([0, 1, 1])
    boxes = torch.tensor([[0, 0, 2, 1], [1.5, 1, 3, 4], [0, 0, 4, 4]], dtype=torch.float64)
    words = torch.tensor([[3, 5, 0], [1, 8, 8], [4, 3, 7]])
    total = 0.0
    for m in range(3):
        weight = box_coverage(boxes[m : m + 1], (4, 4))[0]
        pooled = (
            sum(weight[y, x] * vision[index[m], :, y, x] for y in range(4) for x in range(4)) / weight.sum()
        )
        for word in range(9):
            said = word in words[m].tolist() and word > 2  # padding, unknown and CLS are no words
            p = torch.sigmoid(classifier.weight[word] @ pooled + classifier.bias[word])
            total -= torch.log(p if said else 1 - p)
    seen = inputs_of(
        vision=vision, image_index=index, box_cells=boxes, words=words, language_model=language_model
    )
    assert head.loss(seen)['loss_word'].item() == pytest.approx(0.5 * total.item() / 3)


def test_filled_contours_are_where_their_polygon_is():
    square = torch.tensor([[2.0, 1.0], [8.0, 1.0], [8.0, 6.0], [2.0, 6.0]])
    filled = fill_contour(square, 12)
    expected = np.zeros((12, 12), np.uint8)
    expected[1:6, 2:8] = 1
    # cv2 draws the outline too: at most the pixels that touch it are more
    assert (filled >= expected).all()
    assert (filled <= cv2.dilate(expected, np.ones((3, 3), np.uint8))).all()
    assert fill_contour(torch.zeros(0, 2), 12).sum() == 0


def test_mask_cells_cost_less_where_they_draw_the_contour():
    head = MaskCellHead(in_channels=16, parts=4, loss_weight=2.0)
    contour = torch.tensor([[0.5, 0.25], [2.0, 0.25], [2.0, 1.5]])
    with torch.no_grad():
        head.classifier.weight.copy_(torch.eye(16))
        head.classifier.bias.zero_()
        # a cell's channels are its parts, row by row
        mask = torch.from_numpy(fill_contour(4 * contour, 12)).float()
        drawn = mask.view(1, 3, 4, 3, 4).transpose(2, 3).flatten(3)
        assert head(drawn)[0].equal(mask) and 20 < mask.sum() < 100
        assert head.loss(20 * drawn - 10, [contour]) < 1e-3
        assert head.loss(10 - 20 * drawn, [contour]) > 10
        nothing = head.loss(torch.zeros(1, 3, 3, 16), [contour])
    assert nothing.item() == pytest.approx(2 * np.log(2), rel=1e-6)
