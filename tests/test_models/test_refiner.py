"""The refiner: windows, losses, and behind every kind of model."""

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.structures import InstanceData

import mmrefseg.registration  # noqa: F401
from mmrefseg.models.extended.refiner import BoxRefiner, Windows, _pasted, to_image
from mmrefseg.utils import UserInputError

SMALL = dict(size=16, channels=4, depth=2)
VOCABULARY = dict(words=['the', 'red', 'star'])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def disc(height: int, width: int, x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width] + 0.5
    return ((columns - x) ** 2 + (rows - y) ** 2 < radius**2).astype(np.uint8)


def samples_of(images: int, side: int = 64, known: bool = True, scale: float = 1.0) -> list[DetDataSample]:
    """Discs of three radii in the images' middle, each with a sentence."""
    result = []
    for _ in range(images):
        radii = (8, 12, 16)
        masks = np.stack([disc(side, side, 32, 32, radius) for radius in radii])
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(side, side),
                ori_shape=(round(side / scale), round(side / scale)),
                scale_factor=(scale, scale),
                expressions=['the red star'] * 3,
                ref_ids=[1, 2, 3],
            )
        )
        boxes = torch.tensor([[32 - r, 32 - r, 32 + r, 32 + r] for r in radii], dtype=torch.float32)
        sample.gt_instances = InstanceData(
            bboxes=boxes / (scale if scale != 1 else 1), labels=torch.zeros(3, dtype=torch.long)
        )
        if known:
            sample.gt_instances.masks = BitmapMasks(masks, side, side)
        result.append(sample)
    return result


# ------------------------------------------------------------------------ windows


def test_pasting_is_mmdets():
    """To the last bit, wherever the window lies; beside the image there is nothing to paste."""
    from mmdet.models.roi_heads.mask_heads import fcn_mask_head

    for _ in range(50):
        height, width = torch.randint(8, 200, (2,)).tolist()
        centre, half = (torch.rand(2) * torch.tensor([width, height]) for _ in range(2))
        window = torch.cat([centre - half - 1, centre + half + 1])
        values = torch.rand(16, 16)
        theirs, part = fcn_mask_head._do_paste_mask(values[None, None], window[None], height, width)
        ours, own = to_image(values, window, height, width)
        assert torch.equal(ours, theirs[0]) and own == tuple(slice(int(s.start), int(s.stop)) for s in part)
    for x, y in ((-40.0, 5.0), (5.0, -40.0), (70.0, 5.0), (5.0, 70.0)):
        pasted, part = to_image(torch.ones(16, 16), torch.tensor([x, y, x + 20, y + 20]), 40, 50)
        assert pasted.numel() == 0 and torch.zeros(40, 50)[part].numel() == 0


def test_a_window_of_the_whole_image_is_the_image():
    image = torch.rand(1, 3, 16, 16)
    windows = Windows(torch.tensor([[0.0, 0, 16, 16]]), torch.zeros(1, dtype=torch.long))
    assert torch.allclose(windows.crop(image, 16), image, atol=1e-6)
    # twice as large: means of 2 x 2
    small = torch.nn.functional.avg_pool2d(image, 2)
    assert torch.allclose(windows.crop(image, 8), small, atol=1e-6)


def test_windows_of_several_images_in_any_order():
    """Each window shows its own image, as one by one."""
    maps, index = torch.rand(3, 2, 20, 30), torch.tensor([2, 0, 2, 2])
    corners = torch.rand(4, 2) * 10
    boxes = torch.cat([corners, corners + 12], 1)
    shown = Windows(boxes, index).crop(maps, 8)
    for row, image in enumerate(index.tolist()):
        alone = Windows(boxes[row, None], torch.zeros(1, dtype=torch.long)).crop(maps[image, None], 8)
        assert torch.allclose(shown[row], alone[0], atol=1e-6)


def test_windows_are_wider_than_boxes_and_never_flat():
    boxes = torch.tensor([[10.0, 20, 30, 60], [5, 5, 5, 5]])
    windows = Windows.around(boxes, torch.zeros(2, dtype=torch.long), margin=0.25).boxes
    assert windows[0].tolist() == [5, 10, 35, 70]
    assert (windows[1, 2:] - windows[1, :2]).tolist() == [6, 6]


def test_crossed():
    """A box in the middle half of its window crosses the middle half of its columns and rows."""
    box = torch.tensor([[10.0, 20, 30, 60]])
    windows = Windows.around(box, torch.zeros(1, dtype=torch.long), margin=0.5)
    columns, rows = windows.crossed(box, 8)
    assert columns.tolist() == rows.tolist() == [[0, 0, 1, 1, 1, 1, 0, 0]]


# ------------------------------------------------------------------------- losses


def test_what_teaches():
    """Masks teach by cross-entropy, boxes by three losses; what is not there costs nothing."""
    refiner = BoxRefiner(**SMALL, box_weight=1.0)
    images, boxes = torch.rand(1, 3, 64, 64), torch.tensor([[16.0, 16, 48, 48]])
    index, masks = torch.zeros(1, dtype=torch.long), [torch.from_numpy(disc(64, 64, 32, 32, 16))[None]]
    known = refiner.loss(images, boxes, index, masks, torch.tensor([True]))
    unknown = refiner.loss(images, boxes, index, masks, torch.tensor([False]))
    for losses in (known, unknown):
        assert losses.keys() == {'loss_mask', 'loss_projection', 'loss_outside', 'loss_affinity'}
    assert known['loss_mask'] > 0 and not any(
        known[f'loss_{n}'] for n in ('projection', 'outside', 'affinity')
    )
    assert unknown['loss_mask'] == 0 and unknown['loss_projection'] > 0 and unknown['loss_outside'] > 0
    sum(unknown.values()).backward()
    assert all(parameter.grad is not None for parameter in refiner.parameters())


def test_objects_without_a_mask_are_left_out_by_default():
    """The loss of two objects is that of the one whose mask is known, whatever the other's says."""
    images, index = torch.rand(1, 3, 64, 64), torch.zeros(2, dtype=torch.long)
    boxes = torch.tensor([[16.0, 16, 48, 48], [0, 0, 20, 20]])
    first, other = disc(64, 64, 32, 32, 16), disc(64, 64, 10, 10, 5)
    has_mask = torch.tensor([True, False])

    def loss(second: np.ndarray, rows: slice = slice(2)) -> float:
        torch.manual_seed(1)
        refiner = BoxRefiner(**SMALL, jitter=0.0)
        masks = [torch.from_numpy(np.stack([first, second]))[rows]]
        return refiner.loss(images, boxes[rows], index[rows], masks, has_mask[rows])['loss_mask'].item()

    assert loss(other) == loss(1 - other) == loss(other, slice(1))


def test_masks_weigh_by_their_scores():
    """A mask of score 0 teaches nothing, one of 0.5 half as much; scores are not asked for by default."""
    boxes, index = torch.tensor([[16.0, 16, 48, 48]]), torch.zeros(1, dtype=torch.long)
    images, masks = torch.rand(1, 3, 64, 64), [torch.from_numpy(disc(64, 64, 32, 32, 16))[None]]

    def loss(score: float, **options) -> float:
        torch.manual_seed(1)
        refiner = BoxRefiner(**SMALL, jitter=0.0, **options)
        return refiner.loss(images, boxes, index, masks, torch.tensor([True]), torch.tensor([score]))[
            'loss_mask'
        ].item()

    assert loss(0.0, score_power=1.0) == 0
    assert loss(0.5, score_power=2.0) == pytest.approx(loss(1.0) / 4)
    assert loss(0.5) == loss(1.0)


def test_pasted_objects_stand_before_another_window():
    """The object's pixels stay; around it is the other window, moved by half its side."""
    shown = torch.stack([torch.full((3, 8, 8), 1.0), torch.arange(64.0).view(1, 8, 8).expand(3, -1, -1)])
    masks = torch.zeros(2, 8, 8)
    masks[:, 2:6, 2:6] = 1
    for _ in range(20):  # until the two have changed places
        pasted = _pasted(shown, masks, torch.tensor([True, False]))
        assert torch.equal(pasted[1], shown[1]) and (pasted[0, :, 2:6, 2:6] == 1).all()
        if not torch.equal(pasted[0], shown[0]):
            break
    moved = shown[1].roll((4, 4), (-2, -1))
    around = masks[0] == 0
    assert torch.equal(pasted[0][:, around], moved[:, around])


def test_pasting_is_for_training_alone():
    refiner = BoxRefiner(**SMALL, paste=1.0, jitter=0.0)
    images, boxes = torch.rand(2, 3, 64, 64), torch.tensor([[16.0, 16, 48, 48]] * 2)
    masks = [torch.from_numpy(disc(64, 64, 32, 32, 16))[None]] * 2
    seen = []
    refiner.strong_view = lambda shown: seen.append(shown) or shown
    for training in (False, True):
        torch.manual_seed(3)
        refiner.train(training)
        refiner.loss(images, boxes, torch.arange(2), masks, torch.tensor([True, True]))
    assert not torch.allclose(seen[0], seen[1])


def test_none_with_a_mask_keeps_the_graph():
    refiner = BoxRefiner(**SMALL)
    losses = refiner.loss(
        torch.rand(1, 3, 64, 64),
        torch.tensor([[16.0, 16, 48, 48]]),
        torch.zeros(1, dtype=torch.long),
        [torch.zeros(1, 1, 1)],
        torch.tensor([False]),
    )
    assert losses['loss_mask'] == 0
    losses['loss_mask'].backward()
    assert all(parameter.grad is not None for parameter in refiner.parameters())


def test_a_coarse_mask_is_read():
    refiner = BoxRefiner(**SMALL, coarse=True).eval()
    shown = torch.rand(1, 3, 16, 16)
    inside = torch.ones(1, 16, 16)
    assert not torch.equal(refiner(shown, inside), refiner(shown, -inside))
    assert torch.equal(refiner(shown), refiner(shown, 0 * inside))


def test_wrong_size():
    with pytest.raises(UserInputError, match=r'size=10.*multiple of 4'):
        BoxRefiner(size=10, depth=2)


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(size=0), 'found size=0, expected a multiple of 8, for depth=3'),
        (dict(size=-8), 'found size=-8, expected a multiple of 8, for depth=3'),
        (dict(size=48, depth=-1), 'expected a multiple of 1, for depth=-1'),
        (dict(size=8, coarse=True), 'a multiple of 8 of at least 15, for coarse=True and depth=3'),
    ],
)
def test_windows_that_are_too_small(options, expected):
    with pytest.raises(UserInputError, match=expected):
        BoxRefiner(**options)


def test_the_smallest_window_for_coarse_masks():
    refiner = BoxRefiner(size=16, channels=4, coarse=True)
    target = torch.ones(2, 16, 16)
    assert refiner._coarse(target, torch.tensor([True, False])).shape == target.shape


# --------------------------------------------------------------- behind every model


def tiny(name: str) -> dict:
    return Config.fromfile(f'configs/{name}.py').model


def box_network() -> dict:
    model = tiny('extended/box-refiner_tiny_m100_refshapes')['segmentor']
    model['language_model']['vocabulary'] = VOCABULARY
    return model


def partial_res() -> dict:
    model = tiny('partial_res/partial-res_tiny_m100_refshapes')
    model['language_model']['vocabulary'] = VOCABULARY
    return model


def late_lavt() -> dict:
    model = tiny('extended/late-lavt_tiny_refshapes')
    model['language_model']['vocabulary'] = VOCABULARY
    return model


def mask_rcnn() -> dict:
    return tiny('mask_rcnn/mask-rcnn_tiny_refshapes')


NETWORKS = dict(boxes=box_network, partial_res=partial_res, lavt=late_lavt, mask_rcnn=mask_rcnn)


@pytest.mark.parametrize('coarse', [False, True])
@pytest.mark.parametrize('network', NETWORKS)
def test_behind(network, coarse, monkeypatch, repo_root):
    """A step teaches the refiner alone; predictions keep the model's boxes and scores, with other masks."""
    monkeypatch.chdir(repo_root)
    model = MODELS.build(
        dict(
            type='RefinedSegmentor',
            segmentor=NETWORKS[network](),
            refiner=dict(type='BoxRefiner', coarse=coarse, **SMALL),
        )
    )
    model.train()
    assert not any(module.training for module in model.segmentor.modules())
    inputs = torch.randn(2, 3, 64, 64)
    sum(model.loss(inputs, samples_of(2)).values()).backward()
    assert all(parameter.grad is not None for parameter in model.refiner.parameters())
    assert all(parameter.grad is None for parameter in model.segmentor.parameters())
    model.eval()
    with torch.no_grad():
        own = [s.pred_instances for s in model.segmentor.predict(inputs, samples_of(2, scale=0.5))]
        refined = [s.pred_instances for s in model.predict(inputs, samples_of(2, scale=0.5))]
    for before, after in zip(own, refined, strict=True):
        # LAVT's boxes and scores are those of a mask's pixels, in the one frame or in the other
        pixels, points = (4, 0.05) if network == 'lavt' else (1e-3, 0)
        assert torch.allclose(before.bboxes, after.bboxes, atol=pixels)
        assert torch.allclose(before.scores, after.scores, atol=points)
        assert torch.equal(before.labels, after.labels)
        assert after.masks.shape == (len(before), 128, 128) and after.masks.dtype == torch.bool


def test_known_boxes_and_learning(monkeypatch, repo_root):
    """From boxes and colours alone it learns discs in a minute's fraction, and draws them in known boxes."""
    monkeypatch.chdir(repo_root)
    model = MODELS.build(
        dict(
            type='RefinedSegmentor',
            segmentor=box_network(),
            refiner=dict(type='BoxRefiner', **SMALL, box_weight=1.0, warmup=10),
            test_cfg=dict(confine_to_box=True),
        )
    )
    truth = disc(64, 64, 32, 32, 12)
    image = torch.from_numpy(truth).float()[None, None].expand(2, 3, -1, -1) * 2 - 1
    samples = samples_of(2, known=False)
    for sample in samples:
        sample.gt_instances = sample.gt_instances[1:2]
        sample.set_metainfo(dict(expressions=['the red star'], ref_ids=[2]))
    optimizer = torch.optim.AdamW(model.refiner.parameters(), 1e-2)
    model.train()
    for _ in range(60):
        optimizer.zero_grad()
        sum(model.loss(image, samples).values()).backward()
        optimizer.step()
    model.eval()
    found = model.predict(image, samples)[0].pred_instances
    mask = found.masks[0].numpy()
    assert (mask & (truth > 0)).sum() / (mask | (truth > 0)).sum() > 0.85
    assert found.bboxes.tolist() == samples[0].gt_instances.bboxes.tolist()
    assert 0.5 < found.scores[0] <= 1


def test_weights_of_the_network_alone():
    model = MODELS.build(
        dict(type='RefinedSegmentor', segmentor=mask_rcnn(), refiner=dict(type='BoxRefiner', **SMALL))
    )
    state = {key: value + 1 for key, value in model.segmentor.state_dict().items()}
    adapted = dict(state)
    model.adapt_state_dict(adapted)
    assert adapted.keys() == {f'segmentor.{key}' for key in state}
    whole = dict(model.state_dict())
    model.adapt_state_dict(whole)
    assert whole.keys() == model.state_dict().keys()


def test_nothing_found_stays_nothing(monkeypatch, repo_root):
    """A model that says there is no such thing has a box without an area."""
    monkeypatch.chdir(repo_root)
    model = MODELS.build(
        dict(type='RefinedSegmentor', segmentor=box_network(), refiner=dict(type='BoxRefiner', **SMALL))
    )
    torch.nn.init.constant_(model.refiner.classifier.bias, 10.0)  # everything in a window is inside

    def predict(inputs, samples, rescale):
        boxes = torch.tensor([[0.0, 0, 0, 0], [8, 8, 24, 24]])
        instances = InstanceData(bboxes=boxes, scores=torch.ones(2), labels=torch.zeros(2, dtype=torch.long))
        return model.add_pred_to_datasample(samples, [instances])

    monkeypatch.setattr(model.segmentor, 'predict', predict)
    masks = model.eval().predict(torch.randn(1, 3, 64, 64), samples_of(1))[0].pred_instances.masks
    assert masks.flatten(1).any(1).tolist() == [False, True]


def test_unknown_switch():
    with pytest.raises(UserInputError, match=r'test_cfg: found frame.*segmentor\.test_cfg'):
        MODELS.build(
            dict(
                type='RefinedSegmentor',
                segmentor=mask_rcnn(),
                refiner=dict(type='BoxRefiner', **SMALL),
                test_cfg=dict(frame='network'),
            )
        )
