"""Draw what a model finds in images, a video or a camera's frames: what ``demo/image_demo.py`` runs."""

import argparse
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np

from mmrefseg.apis.inferencer import RefSegInferencer
from mmrefseg.apis.instance_inferencer import InstanceInferencer
from mmrefseg.apis.media import (
    VideoWriter,
    frames,
    open_video,
    output_paths,
    show,
    write_image,
)
from mmrefseg.datasets.photo_sentences import find_photos
from mmrefseg.runs.config import Config, load_config
from mmrefseg.runs.options import parse_value
from mmrefseg.runs.tool_errors import one_sentence
from mmrefseg.utils import UserInputError, progress_bar
from mmrefseg.visualization.drawing import draw_case, make_grid
from mmrefseg.visualization.instance_drawing import ColorTracker, distinct_colors, draw_instances
from mmrefseg.visualization.local_visualizer import cases_of

WEIGHTS, DEVICE = 'MODEL.WEIGHTS', 'MODEL.DEVICE'  # detectron2's names


def draw_all(args: argparse.Namespace) -> None:
    """Run the demo with its parsed options.

    Raises:
        UserInputError: For what the options name and is not there, or does not fit.
    """
    config = load_config(args.config, args.cfg_options | settings_of_pairs(args))
    args.weights = args.weights or config.get('load_from')
    if not args.weights:
        raise UserInputError.of('--weights', 'none', 'a checkpoint of the config', 'give --weights FILE')
    images = [Path(file) for file in find_photos(args.input, '--input')] if args.input else []
    with one_sentence(args.config):
        draw = make_drawer(config, args)
        run_images(draw, images, args.output) if images else run_video(draw, args)


def settings_of_pairs(args: argparse.Namespace) -> dict[str, object]:
    """``--opts KEY VALUE ...``: MODEL.WEIGHTS and MODEL.DEVICE as in detectron2, else our config's keys."""
    if len(args.opts) % 2:
        raise UserInputError.of(
            '--opts', f'{len(args.opts)} words', 'pairs of KEY VALUE', 'give each key a value'
        )
    settings = {}
    for key, value in zip(args.opts[::2], args.opts[1::2], strict=True):
        if key == WEIGHTS:
            args.weights = value
        elif key == DEVICE:
            args.device = value
        elif key.startswith(('MODEL.', 'INPUT.', 'TEST.', 'DATASETS.')):
            raise UserInputError.of(
                f'--opts {key}',
                "a key of detectron2's config",
                'a key of the config',
                'see docs/instance_segmentation.md',
            )
        else:
            settings[key] = parse_value(value)
    return settings


class InstanceDrawer:
    """Draws the objects that a detector finds."""

    def __init__(self, config: Config, args: argparse.Namespace, video: bool) -> None:
        self.infer = InstanceInferencer(config, args.weights, args.device, args.confidence_threshold)
        self.read = self.infer.read
        self.mode = args.color_mode
        self.tracker = ColorTracker() if video else None

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, str]:
        """Draw on (H, W, 3) uint8 BGR; returns the image (RGB) and what was found."""
        found = self.infer(image).pred_instances.numpy()
        masks = found.masks if 'masks' in found else None
        drawn = draw_instances(
            image[..., ::-1],
            found.bboxes,
            [
                f'{self.name(label)} {score:.0%}'
                for label, score in zip(found.labels, found.scores, strict=True)
            ],
            masks,
            self.colors(found, masks),
            self.mode,
        )
        return drawn, f'detected {len(found)} instance{"" if len(found) == 1 else "s"}'

    def name(self, label: int) -> str:
        """Of a class; its number where nobody has named it."""
        return self.infer.classes[label] if label < len(self.infer.classes) else f'class {label}'

    def colors(self, found, masks) -> list[tuple[int, int, int]]:
        """By class, by what was there in the frames before, or all different."""
        if self.mode == 'segmentation':
            palette = distinct_colors(max(found.labels, default=-1) + 1)
            return [palette[label] for label in found.labels]
        if self.tracker is not None:
            return self.tracker.colors(found.bboxes, found.labels.tolist(), masks)
        return distinct_colors(len(found))


class ExpressionDrawer:
    """Draws what sentences refer to: a panel for each, without mask and box below the least score."""

    def __init__(self, config: Config, args: argparse.Namespace) -> None:
        self.infer = RefSegInferencer(config, args.weights, args.device)
        self.text = args.text
        self.threshold = args.confidence_threshold

    def read(self, path: Path) -> np.ndarray:
        """Read an image, (H, W, 3) uint8 BGR."""
        return self.infer.load({'img_path': str(path)})['img']

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, str]:
        """Draw on (H, W, 3) uint8 BGR; returns the image (RGB) and what was found."""
        sample = self.infer(image, self.text)
        sample.set_metainfo({'expressions': self.text})
        cases = cases_of(sample.cpu(), image[..., ::-1], draw_gt=False)
        for case in cases:
            if (case.get('score') or 0.0) < self.threshold:
                case.update(mask=None, box=None, points=None, note=f'below {self.threshold:g}')
        scores = ', '.join(f'{score:.0%}' for score in sample.pred_instances.scores.tolist())
        return make_grid([draw_case(**case) for case in cases], columns=3), f'finished ({scores})'


def make_drawer(config: Config, args: argparse.Namespace) -> Callable:
    """The drawer for the config's kind of model."""
    pipeline = config.test_dataloader.dataset.pipeline
    referring = any(step['type'] == 'PackRefInputs' for step in pipeline)
    if referring and not args.text:
        raise UserInputError.of(
            args.config, 'a model of referring expressions', 'sentences', "give --text 'the red car' ..."
        )
    if args.text and not referring:
        raise UserInputError.of(
            '--text', 'a detector', 'a model of referring expressions', 'leave --text out or change --config'
        )
    return ExpressionDrawer(config, args) if referring else InstanceDrawer(config, args, args.input is None)


def run_images(draw: Callable, images: list[Path], output: str | None) -> None:
    """Draw images into files, or show them one by one."""
    targets = output_paths(images, output) if output else [None] * len(images)
    with progress_bar() as bar:
        task = bar.add_task('images', total=len(images), visible=output is not None)
        for image, target in zip(images, targets, strict=True):
            start = time.perf_counter()
            drawn, what = draw(draw.read(image))
            print(f'{image}: {what} in {time.perf_counter() - start:.2f} s', flush=True)
            bar.advance(task)
            if target is not None:
                write_image(drawn, target)
            elif not show(str(image), drawn):
                return


def run_video(draw: Callable, args: argparse.Namespace) -> None:
    """Draw every frame of a video or a camera."""
    if args.webcam is not None and args.output:
        raise UserInputError.of(
            '--output',
            'a camera as input',
            'a video file',
            'leave --output out: cameras are shown in a window',
        )
    source = args.video_input if args.webcam is None else args.webcam
    capture = open_video(source)
    if args.output is None:
        show_frames(draw, str(source), frames(capture))
        return
    size = tuple(int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) or None
    rate = capture.get(cv2.CAP_PROP_FPS)
    start, count = time.perf_counter(), 0
    with VideoWriter(args.output, Path(source).stem, size, rate) as writer, progress_bar() as bar:
        for frame in bar.track(frames(capture), total=total, description='frames'):
            writer.write(fit(draw(frame)[0], size)[..., ::-1])
            count += 1
    print(f'{source}: {count} frames in {time.perf_counter() - start:.2f} s, written to {writer.path}')


def fit(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A drawing of the frame's size; panels of sentences have their own."""
    same = image.shape[1::-1] == size
    return np.ascontiguousarray(image if same else cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def show_frames(draw: Callable, title: str, images: Iterable[np.ndarray]) -> None:
    """Show until the end, or until Esc is pressed."""
    for image in images:
        if not show(title, draw(image)[0], wait=1):
            return
