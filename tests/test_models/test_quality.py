"""The quality head: its parts by hand, what teaches it, and behind the refiner."""

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.structures import InstanceData
from test_refiner import SMALL, VOCABULARY, late_lavt, mask_rcnn, samples_of

import mmrefseg.registration  # noqa: F401
from mmrefseg.models.extended.quality import QualityHead, box_evidence, expected_iou
from mmrefseg.models.heads.sequence_generator import GeneratedSequence
from mmrefseg.models.layers.memory import Memory
from mmrefseg.utils import UserInputError


@pytest.fixture(autouse=True)
def in_root(monkeypatch, repo_root):
    torch.manual_seed(0)
    monkeypatch.chdir(repo_root)


def box_network() -> dict:
    model = Config.fromfile('configs/extended/box-refiner_tiny_m100-quality_refshapes.py').model.segmentor
    model.language_model.vocabulary = VOCABULARY
    return model


def build(network: dict, **kwargs):
    refiner = dict(type='BoxRefiner', **SMALL)
    quality = dict(type='QualityHead', channels=8)
    return MODELS.build(
        dict(type='RefinedSegmentor', segmentor=network, refiner=refiner, quality=quality, **kwargs)
    )


# -------------------------------------------------------------------------- parts


def test_expected_iou_by_hand():
    """Inside: 0.9 and 0.7, outside: 0.4 and 0: (0.9 + 0.7) / (2 + 0.4); certain: 1; nothing: 0."""
    probabilities = torch.tensor([[[0.9, 0.7], [0.4, 0.0]], [[1.0, 1.0], [0.0, 0.0]], [[0.4, 0.1], [0, 0]]])
    assert expected_iou(probabilities).tolist() == pytest.approx([1.6 / 2.4, 1, 0])


def test_evidence_by_hand():
    """A box over the left column of 2 x 2 cells: a certain decoder, and the mean of these two cells."""
    cells = torch.tensor([[1.0, 0], [9, 9], [3, 0], [9, 9]])
    tokens = torch.cat([cells, torch.tensor([[5.0, 6]])])[None]  # and the language token
    extent = torch.tensor([[2.0, 2]])
    padding = torch.zeros(1, 5, dtype=torch.bool)
    memory = Memory(tokens, 0 * tokens, padding, (2, 2), extent, extent)
    box = torch.tensor([[0, 0, 31, 63]])
    logits = torch.full((1, 4, 65), -1e4).scatter(2, box[..., None], 0.0)
    evidence = box_evidence(memory, GeneratedSequence(box, torch.zeros(1, 4), logits), 64)
    assert evidence.shape == (1, 16) and torch.isfinite(evidence).all()
    assert (evidence[0, :4] > 9).all()  # sure
    assert evidence[0, 4:12].tolist() == [0] * 8  # no entropy, probability 1
    assert evidence[0, 12:].tolist() == pytest.approx([2.0, 0, 5, 6], abs=0.2)


def test_it_starts_as_the_refiner_believes():
    head = QualityHead(4).eval()
    probabilities = torch.rand(3, 8, 8)
    boxes = torch.tensor([[0.0, 0, 8, 9]] * 3)
    assert torch.allclose(head(None, None, probabilities, boxes), expected_iou(probabilities), atol=1e-5)
    scores = head(torch.rand(3, 4), torch.rand(3), probabilities, boxes)
    assert (scores < expected_iou(probabilities)).all() and (scores > 0).all()


def test_what_teaches():
    """A wrong box teaches only that it is wrong; a right one without a mask only that it is right."""
    head = QualityHead(4)
    boxes = torch.tensor([[0.0, 0, 8, 8], [0, 0, 8, 8]])
    truth = torch.tensor([[0.0, 0, 8, 7], [20, 20, 30, 30]])
    inputs = (torch.rand(2, 4), torch.rand(2), torch.rand(2, 8, 8), boxes)

    def loss(ious, has_mask):
        losses = head.eval().loss(inputs, truth, torch.tensor(ious), torch.tensor(has_mask))
        return losses['loss_mask_quality'].item()

    assert loss([0.9, 0.0], [True, True]) == loss([0.9, 1.0], [True, True]) > 0
    assert loss([0.9, 0.0], [False, True]) == 0
    sum(head.train().loss(inputs, truth, torch.zeros(2), torch.zeros(2).bool()).values()).backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_one_expression_is_a_batch():
    head = QualityHead(4).train()
    inputs = (torch.rand(1, 4), torch.rand(1), torch.rand(1, 8, 8), torch.tensor([[0.0, 0, 8, 8]]))
    losses = head.loss(inputs, inputs[3], torch.ones(1), torch.ones(1).bool())
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_it_learns_which_boxes_are_right():
    head = QualityHead(2, channels=8, dropout=0.0)
    evidence = torch.randn(64, 2)
    boxes = torch.tensor([[0.0, 0, 8, 8]]).repeat(64, 1)
    truth = torch.where(evidence[:, :1] > 0, boxes, boxes + 20)
    inputs = (evidence, torch.rand(64), torch.rand(64, 4, 4), boxes)
    optimizer = torch.optim.AdamW(head.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        sum(head.loss(inputs, truth, torch.ones(64), torch.zeros(64).bool()).values()).backward()
        optimizer.step()
    right = head.eval().box_logits(*inputs[:2], boxes) > 0
    assert (right == (evidence[:, 0] > 0)).float().mean() > 0.95


# --------------------------------------------------------------- behind the refiner


@pytest.mark.parametrize(('network', 'gives_evidence'), [(box_network, True), (late_lavt, False)])
def test_it_alone_learns_and_scores(network, gives_evidence):
    model = build(network()).train()
    assert bool(model.quality.in_channels) == gives_evidence
    assert model.quality.training and not model.refiner.training and not model.segmentor.training
    inputs = torch.randn(2, 3, 64, 64)
    losses = model.loss(inputs, samples_of(2))
    assert losses.keys() == {'loss_box_quality', 'loss_mask_quality'}
    sum(losses.values()).backward()
    learns = {name.split('.')[0] for name, p in model.named_parameters() if p.grad is not None}
    assert learns == {'quality'} == {n.split('.')[0] for n, p in model.named_parameters() if p.requires_grad}
    model.eval()
    model.quality.box[-1].bias.data.fill_(-20.0)  # no box is right
    with torch.no_grad():
        found = model.predict(inputs, samples_of(2, scale=0.5))
        assert all((sample.pred_instances.scores < 1e-6).all() for sample in found)
        model.test_cfg['confine_to_box'] = True  # but those that are known
        found = model.predict(inputs, samples_of(2, scale=0.5))
    for instances in (sample.pred_instances for sample in found):
        drawn = instances.masks.flatten(1).any(1)
        assert ((instances.scores > 0) == drawn).all() and (instances.scores <= 1).all()


def test_masks_and_boxes_are_those_without_it():
    model = build(box_network()).eval()
    inputs = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        scored = [sample.pred_instances for sample in model.predict(inputs, samples_of(2))]
        model.quality = None
        plain = [sample.pred_instances for sample in model.predict(inputs, samples_of(2))]
    for one, other in zip(scored, plain, strict=True):
        assert torch.equal(one.bboxes, other.bboxes) and torch.equal(one.masks, other.masks)
        assert not torch.equal(one.scores, other.scores)


def test_objects_without_masks_teach_the_boxes():
    model = build(box_network()).train()
    losses = model.loss(torch.randn(2, 3, 64, 64), samples_of(2, known=False))
    assert losses['loss_mask_quality'] == 0 and losses['loss_box_quality'] > 0


def test_the_iou_that_it_learns(monkeypatch):
    """The refiner draws whole windows: the IoU it is told is that of these windows with the truth."""
    model = build(box_network()).train()
    torch.nn.init.constant_(model.refiner.classifier.bias, 10.0)
    truth = torch.tensor([[24.0, 24, 40, 40], [20, 20, 44, 44], [16, 16, 48, 48]])
    samples = samples_of(1)
    masks = torch.zeros(3, 64, 64)
    for mask, (x1, y1, x2, y2) in zip(masks, truth.int().tolist(), strict=True):
        mask[y1:y2, x1:x2] = 1
    samples[0].gt_instances.masks = BitmapMasks(masks.numpy().astype('uint8'), 64, 64)
    find = model._find

    def found(inputs, samples):
        instances, evidence = find(inputs, samples)
        instances[0].bboxes = truth
        return instances, evidence

    told = {}
    monkeypatch.setattr(model, '_find', found)
    monkeypatch.setattr(model.quality, 'loss', lambda *args: told.update(args=args) or {})
    model.loss(torch.randn(1, 3, 64, 64), samples)
    _, boxes, ious, known = told['args']
    assert torch.equal(boxes, truth) and known.all()
    # a window is wider by 0.15 of its box's side on each side; its edge may cut a pixel
    assert torch.allclose(ious, torch.full((3,), 1 / 1.3**2), atol=0.06)


def test_what_it_does_not_go_with():
    with pytest.raises(UserInputError, match='quality and train_segmentor=True'):
        build(box_network(), train_segmentor=True)
    with pytest.raises(UserInputError, match=r'found quality behind .*RCNN, expected a model of referring'):
        build(mask_rcnn())


def test_more_predictions_than_objects(monkeypatch):
    model, samples = build(box_network()).train(), samples_of(1)
    boxes = torch.tensor([[8.0, 8.0, 40.0, 40.0]]).repeat(len(samples[0].gt_instances) + 1, 1)
    labels = torch.zeros(len(boxes), dtype=torch.long)
    many = InstanceData(bboxes=boxes, labels=labels, scores=torch.ones(len(boxes)))
    monkeypatch.setattr(model, '_find', lambda *_: ([many], None))
    with pytest.raises(UserInputError, match=r'predictions for \d objects of an image'):
        model.loss(torch.randn(1, 3, 64, 64), samples)
