"""demo/image_demo.py as a process: what it reads, writes and says. The network is small and random."""

import os
import re

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from PIL import Image

from mmrefseg.apis import InstanceInferencer
from mmrefseg.visualization.drawing import PREDICTION
from mmrefseg.visualization.instance_drawing import (
    ColorTracker,
    distinct_colors,
    draw_instances,
    drawing_order,
)

from .conftest import REPO

CONFIG = str(REPO / 'configs/mask_rcnn/mask-rcnn_tiny_refshapes.py')
DEMO = '../demo/image_demo.py'


@pytest.fixture(scope='module')
def weights(tools):
    """Random weights that find something: the bias of the class scores favours circles and stars."""
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(CONFIG).model)
    with torch.no_grad():
        model.roi_head.bbox_head.fc_cls.bias += torch.tensor([3.0, 0, 0, 2.9] + [0] * 7)
    path = tools.folder / 'random.pth'
    torch.save({'state_dict': model.state_dict()}, path)
    return path


@pytest.fixture(scope='module')
def images(tools):
    """Two in a folder, one of them turned by its EXIF data, and something else."""
    folder = tools.folder / 'images'
    folder.mkdir()
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (96, 128, 3), np.uint8).repeat(1, axis=0))
    image.save(folder / 'a.png')
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees
    image.save(folder / 'b.jpg', exif=exif)
    (folder / 'notes.txt').write_text('no image')
    return folder


def run(tools, weights, *arguments):
    return tools.succeed(DEMO, '--config', CONFIG, '--weights', weights, *arguments)


LINE = r'^(\S+): detected (\d+) instances? in \d+\.\d\d s$'


@pytest.mark.parametrize('given', ['images', 'images/*', 'both'])
def test_folder_pattern_and_paths(tools, weights, images, given):
    """A line for each image; drawings under the same names, upright."""
    inputs = [given]
    if given == 'images/*':
        inputs = ['images/[ab].*']
    if given == 'both':
        inputs = ['images/b.jpg', 'images/a.png', 'images/a.png']
    done = run(
        tools, weights, '--input', *inputs, '--output', f'out_{len(given)}/', '--confidence-threshold', 0.3
    )
    lines = re.findall(LINE, done.stdout, re.MULTILINE)
    expected = ['images/b.jpg', 'images/a.png'] if given == 'both' else ['images/a.png', 'images/b.jpg']
    assert [path for path, _ in lines] == expected
    assert all(0 < int(count) <= 20 for _, count in lines)
    out = tools.folder / f'out_{len(given)}'
    assert sorted(path.name for path in out.iterdir()) == ['a.png', 'b.jpg']
    with Image.open(out / 'a.png') as drawn, Image.open(images / 'a.png') as plain:
        assert drawn.size == plain.size == (128, 96)
        assert (np.asarray(drawn) != np.asarray(plain)).any()
    with Image.open(out / 'b.jpg') as drawn:
        assert drawn.size == (96, 128)


def test_threshold_options_and_one_file(tools, weights, images):
    """A higher threshold finds less; options reach the model both ways; one image goes to a file."""
    counts = []
    for threshold, more in (
        (0.3, ()),
        (0.99, ('--color-mode', 'bw')),
        (0.3, ('--cfg-options', 'model.test_cfg.rcnn.max_per_img=2', '--color-mode', 'segmentation')),
        (0.3, ('--opts', 'model.test_cfg.rcnn.max_per_img', '3', 'MODEL.DEVICE', 'cpu')),
    ):
        arguments = (
            '--input',
            images / 'a.png',
            '--output',
            'one.png',
            '--confidence-threshold',
            threshold,
        )
        done = run(tools, weights, *arguments, *more)
        counts.append(int(re.search(LINE, done.stdout, re.MULTILINE)[2]))
    assert counts[0] > 3 and counts[1:] == [0, 2, 3]
    assert (tools.folder / 'one.png').is_file()


def test_video(tools, weights):
    """As many frames of the same size and rate; an existing file is kept."""
    source = tools.folder / 'clip.avi'
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*'MJPG'), 10, (128, 96))
    if not writer.isOpened():
        pytest.fail('this OpenCV writes no video: found no MJPG codec, expected one')
    rng = np.random.default_rng(0)
    for _ in range(3):
        writer.write(rng.integers(0, 255, (96, 128, 3), np.uint8))
    writer.release()
    arguments = ('--video-input', 'clip.avi', '--output', 'videos/', '--confidence-threshold', 0.3)
    done = run(tools, weights, *arguments)
    (made,) = (tools.folder / 'videos').iterdir()
    assert made.stem == 'clip' and '3 frames in' in done.stdout
    capture = cv2.VideoCapture(str(made))
    assert (capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (128, 96)
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    frames = 0
    while capture.read()[0]:
        frames += 1
    assert frames == 3
    error = tools.fail(DEMO, '--config', CONFIG, '--weights', weights, *arguments)
    assert 'which exists' in error


def test_what_cannot_be_done_is_said(tools, weights, images):
    display = dict(DISPLAY='', WAYLAND_DISPLAY='')
    (images / 'broken.png').write_bytes((images / 'a.png').read_bytes()[:100])
    common = ('--config', CONFIG)
    cases = {
        'no such file': ('--weights', weights, '--input', 'nowhere/*.jpg'),
        'truncated': ('--weights', weights, '--input', 'images/broken.png', '--output', 'x/'),
        'no display': ('--weights', weights, '--input', 'images/a.png'),
        'one file for 2 images': (
            '--weights',
            weights,
            '--input',
            'images/a.png',
            'images/b.jpg',
            '--output',
            'x.png',
        ),
        'the input itself': ('--weights', weights, '--input', 'images/a.png', '--output', 'images/'),
        'expected a checkpoint': ('--input', 'images/a.png', '--output', 'x/'),
        'no camera': ('--weights', weights, '--webcam', '9'),
        'a camera as input': ('--weights', weights, '--webcam', '--output', 'x.mp4'),
        'OpenCV cannot decode': (
            '--weights',
            weights,
            '--video-input',
            'images/notes.txt',
            '--output',
            'x/',
        ),
        "a key of detectron2's config": ('--input', 'images/a.png', '--opts', 'MODEL.MASK_ON', 'False'),
        'pairs of KEY VALUE': ('--input', 'images/a.png', '--opts', 'MODEL.WEIGHTS'),
        'a detector': ('--weights', weights, '--input', 'images/a.png', '--text', 'the red car'),
        'below 1': ('--weights', weights, '--input', 'images/a.png', '--confidence-threshold', '50'),
    }
    for words, arguments in cases.items():
        assert words in tools.fail(DEMO, *common, *arguments, **display), words


def test_referring_model(tools, stages):
    """Sentences instead of classes: a panel for each."""
    arguments = ('--config', stages.config('m100'), '--weights', stages.best('m100'), '--input')
    arguments += ('data/images/refshapes_small/testA_000000.png', '--output', 'referred.png')
    done = tools.succeed(DEMO, *arguments, '--text', 'the red star', 'left circle')
    assert re.search(r'testA_000000\.png: finished \(\d+%, \d+%\) in', done.stdout)
    with Image.open(tools.folder / 'referred.png') as image:
        assert image.width >= 2 * 420
    assert 'sentences' in tools.fail(DEMO, *arguments)


def test_the_threshold_holds_for_sentences(tools, stages):
    """Below it neither mask nor box is drawn; without it each sentence has its answer.

    By the package's weights: what a few steps of training find may be too small to be seen.
    """
    weights = 'mmrefseg://box-frame_tiny_masks_refshapes'
    arguments = ('--config', stages.config('m05-frozen'), '--weights', weights, '--input')
    arguments += ('data/images/refshapes_small/testA_000000.png', '--text', 'the red star', '--output')
    coloured = {}
    for threshold in (None, '0', '0.99999'):
        option = () if threshold is None else ('--confidence-threshold', threshold)
        tools.succeed(DEMO, *arguments, f'at_{threshold}.png', *option)
        with Image.open(tools.folder / f'at_{threshold}.png') as image:
            # The legend below the panel has the colour, too.
            panel = np.asarray(image.convert('RGB'))[:-40].astype(int)
        coloured[threshold] = (np.abs(panel - PREDICTION).sum(axis=2) < 30).sum()
    assert coloured[None] == coloured['0'] > 50 and coloured['0.99999'] == 0, coloured


def test_inferencer(weights, images):
    """The same from Python; classes by name; the threshold holds."""
    infer = InstanceInferencer(CONFIG, weights, 'cpu', score_threshold=0.3)
    found = infer(images / 'b.jpg').pred_instances
    assert len(infer.classes) == 10 and infer.classes[3] == 'star'
    assert found.masks.shape == (len(found), 128, 96) and len(found) > 0
    assert (found.scores > 0.3).all()
    again = infer(infer.read(images / 'b.jpg')).pred_instances
    assert torch.equal(again.bboxes, found.bboxes)


def test_drawing():
    """Small objects lie above large ones; every mode draws what it says."""
    image = np.full((80, 100, 3), (200, 100, 0), np.uint8)
    masks = np.zeros((2, 80, 100), bool)
    masks[0, 20:30, 20:30] = True
    masks[1, 5:75, 5:95] = True
    boxes = np.array([[20, 20, 30, 30], [5, 5, 95, 75]], float)
    assert drawing_order(boxes, masks) == drawing_order(boxes) == [1, 0]
    red, blue = (255, 0, 0), (0, 0, 255)
    drawn = draw_instances(image, boxes, ['', ''], masks, [red, blue])
    below = np.array([200, 100, 0]) * 0.5 + np.array(blue) * 0.5
    assert np.abs(drawn[50, 60] - below).max() <= 1
    assert np.abs(drawn[25, 25] - (below * 0.5 + np.array(red) * 0.5)).max() <= 2
    assert (drawn[2, 2] == image[2, 2]).all()
    grey = draw_instances(image, boxes, ['', ''], masks, [red, blue], 'bw')
    assert (grey[2, 2] == 100).all() and (drawn[78, 98] == image[78, 98]).all()
    strong = draw_instances(image, boxes, ['', ''], masks, [red, blue], 'segmentation')
    assert strong[50, 60][2] == pytest.approx(204, abs=1)
    labelled = draw_instances(image, boxes, ['circle 97%', 'star 50%'], masks, [red, blue])
    assert (labelled != drawn).any()
    assert len(set(distinct_colors(50))) == 50


def test_colors_follow_objects():
    tracker = ColorTracker()
    boxes = np.array([[0, 0, 10, 10], [50, 50, 60, 60]], float)
    first = tracker.colors(boxes, [1, 1])
    # moved a little and in another order: the same colours; another class or place: new ones
    assert tracker.colors(boxes[::-1] + 1, [1, 1]) == first[::-1]
    assert tracker.colors(boxes[:1], [2])[0] not in first
    for _ in range(6):
        tracker.colors(np.zeros((0, 4)), [])
    assert tracker.colors(boxes[1:], [1]) == first[1:]
    for _ in range(8):
        tracker.colors(np.zeros((0, 4)), [])
    assert tracker.colors(boxes[1:], [1])[0] not in first
    masks = np.zeros((1, 20, 20), bool)
    masks[0, :10] = True
    with_masks = ColorTracker()
    color = with_masks.colors(boxes[:1], [0], masks)
    assert with_masks.colors(boxes[1:], [0], masks) == color
    assert with_masks.colors(boxes[1:], [0], ~masks) != color


def test_no_temporary_files_are_left(tools, weights, images):
    """What was cut short leaves nothing behind."""
    folder = tools.folder / 'kept'
    run(tools, weights, '--input', 'images/a.png', '--output', 'kept/')
    assert os.listdir(folder) == ['a.png']
