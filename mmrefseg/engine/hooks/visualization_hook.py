"""Images of predictions during validation and testing."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmdet.registry import HOOKS, TRANSFORMS
from mmdet.structures import DetDataSample
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, Runner
from mmengine.visualization import LocalVisBackend, Visualizer
from PIL import Image

from ...utils import atomic_write
from ...utils.places import VAL_FOLDER


@HOOKS.register_module()
class RefVisualizationHook(Hook):
    """Draw the predictions for referring expressions.

    Takes the arguments of :class:`mmdet.engine.hooks.DetVisualizationHook`,
    so that mmdet's tools set it up too. It differs in three ways: the file is
    named after image, ref_id and sent_id (one image has many
    expressions), every process writes the images it has tested, and the image
    is read as the data sets read it: checked, in the frame of its predictions.

    Args:
        draw: Whether to draw at all.
        interval: During validation, draw the first sample of every
            ``interval``-th batch.
        score_thr: Of instance segmentation; an expression's prediction is
            drawn whatever its score.
        show: Open a window.
        wait_time: Seconds that the window stays.
        test_out_dir: Folder for the images of a test; a relative one lies
            below ``<work_dir>/<time stamp>``.
        max_images: Stop writing after that many in one process.
        val_images: Samples of the validation set that are drawn small at each validation in a training, the
            same each time, into ``<work_dir>/<time stamp>/val_images`` (about 15 kB each) and to the
            visualizer's other backends; 0 for none.
        val_width: Of these, in pixels.
    """

    def __init__(
        self,
        draw: bool = False,
        interval: int = 50,
        score_thr: float = 0.3,
        show: bool = False,
        wait_time: float = 0.0,
        test_out_dir: str | None = None,
        max_images: int | None = None,
        val_images: int = 4,
        val_width: int = 300,
    ) -> None:
        self._visualizer: Visualizer = Visualizer.get_current_instance()
        self.draw = draw
        self.interval = interval
        self.score_thr = score_thr
        self.show = show
        self.wait_time = wait_time
        self.test_out_dir = test_out_dir
        self.max_images = max_images
        self.val_images = val_images
        self.val_width = val_width
        self._count = 0
        self._chosen: dict[int, list[int]] = {}
        # By name: the pipeline's steps are of a room that this one does not import.
        self._steps = [
            TRANSFORMS.build(dict(type=name)) for name in ('LoadCheckedImage', 'MatchRecordedSize')
        ]

    def before_val_epoch(self, runner: Runner) -> None:
        """Choose batches that are spread evenly over the validation set."""
        training = isinstance(runner._train_loop, BaseLoop) and hasattr(self._visualizer, 'small_panel')
        batches, last = len(runner.val_dataloader), max(self.val_images - 1, 1)
        self._chosen = {}
        for number in range(self.val_images if training and runner.rank == 0 else 0):
            self._chosen.setdefault(round(number * (batches - 1) / last), []).append(number)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs: Sequence[DetDataSample] | None = None
    ) -> None:
        """Draw the chosen samples small, and hand one to the visualizer's backends."""
        numbers = self._chosen.get(batch_idx, [])[: len(outputs or ())]
        for place, number in enumerate(numbers):
            self._keep_small(runner, number, outputs[place * len(outputs) // len(numbers)])
        step = runner.iter + batch_idx
        if self.draw and step % self.interval == 0:
            self._draw(outputs[0], 'val', step)

    def _keep_small(self, runner: Runner, number: int, sample: DetDataSample) -> None:
        try:
            drawn = self._visualizer.small_panel(self._read(sample), sample, self.val_width, self.score_thr)
        except Exception as error:  # a picture is no reason to end a training
            runner.logger.warning(f'no validation images: {type(error).__name__}: {error}')
            self.val_images, self._chosen = 0, {}
            return
        buffer = io.BytesIO()
        Image.fromarray(drawn).save(buffer, format='JPEG', quality=80)
        folder = Path(runner.work_dir) / runner.timestamp / VAL_FOLDER
        with atomic_write(folder / f'iter_{runner.iter:08d}_{number}.jpg', 'wb') as file:
            file.write(buffer.getvalue())
        for backend in self._visualizer._vis_backends.values():
            if not isinstance(backend, LocalVisBackend):
                try:
                    backend.add_image(f'val/{number}', drawn, runner.iter)
                except Exception as error:  # nor is one that another program does not take
                    runner.logger.warning(f'{type(backend).__name__}: no image {number}: {error}')

    def before_test(self, runner: Runner) -> None:
        """Begin to count anew."""
        self._count = 0

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs: Sequence[DetDataSample] | None = None
    ) -> None:
        """Draw every sample of the batch."""
        if not self.draw:
            return
        for sample in outputs:
            if self.max_images is not None and self._count >= self.max_images:
                return
            self._count += 1
            out_file = None
            if self.test_out_dir is not None:
                folder = Path(runner.work_dir) / runner.timestamp / self.test_out_dir
                out_file = str(folder / f'{image_name(sample)}.png')
            self._draw(sample, 'test', self._count, out_file)

    def _draw(self, sample: DetDataSample, name: str, step: int, out_file: str | None = None) -> None:
        self._visualizer.add_datasample(
            image_name(sample) if self.show else name,
            self._read(sample),
            data_sample=sample,
            show=self.show,
            wait_time=self.wait_time,
            pred_score_thr=self.score_thr,
            out_file=out_file,
            step=step,
        )

    def _read(self, sample: DetDataSample) -> np.ndarray:
        """(H, W, 3) uint8 RGB.

        Raises:
            UserInputError: If the image has become unreadable, or another one, since it was tested on.
        """
        results = dict(zip(('height', 'width'), sample.metainfo.get('ori_shape', ()), strict=False))
        results['img_path'] = sample.img_path
        for step in self._steps:
            results = step(results)
        return results['img'][..., ::-1]


def image_name(sample: DetDataSample) -> str:
    """``<image>_ref<ref_id>_sent<sent_id>`` of the sample's first pair, or the image's name."""
    name = Path(sample.img_path).stem
    refs, sents = sample.metainfo.get('ref_ids'), sample.metainfo.get('sent_ids')
    return f'{name}_ref{refs[0]}_sent{sents[0]}' if refs and sents else name
