"""Mask R-CNN on RefShapes as commands of the package's own tools: train, test, draw."""

from dataclasses import dataclass
from pathlib import Path

from ..utils import load_json
from ..utils.places import shipped
from .few_masks import epochs_of
from .stages import Stage, python

CONFIG = 'configs/mask_rcnn/mask-rcnn_tiny_refshapes.py'
COLUMNS = {
    'AP': 'mAP',
    'AP50': 'mAP_50',
    'AP75': 'mAP_75',
    'APs': 'mAP_s',
    'APm': 'mAP_m',
    'APl': 'mAP_l',
}
"""Headings of the model zoos, and the metric's names."""


@dataclass(frozen=True)
class InstancesDemo:
    """Commands and files of ``make demo-instances``.

    Attributes:
        folder: Where everything is written.
        seed: Of the training.
        size: RefShapes size.
        split: The split that is tested on.
        pictures: How many are drawn.
        options: ``key=value`` config options for the training (to make tests short).
    """

    folder: Path
    seed: int = 0
    size: str = 'small'
    split: str = 'testA'
    pictures: int = 8
    options: tuple[str, ...] = ()

    @property
    def annotations(self) -> Path:
        """The folder of the COCO files."""
        return Path(f'data/annotations/refshapes_{self.size}/coco')

    @property
    def work_dir(self) -> Path:
        """Where the network is trained."""
        return self.folder / 'mask_rcnn'

    @property
    def checkpoint(self) -> Path:
        """What the training leaves."""
        return self.work_dir / 'best.pth'

    @property
    def scores(self) -> Path:
        """The test's numbers."""
        return self.folder / f'{self.split}.json'

    @property
    def drawings(self) -> Path:
        """The folder of the pictures."""
        return self.folder / 'pictures'

    def stages(self) -> list[Stage]:
        """Everything, in order."""
        make = python('tools/dataset_converters/create_refshapes.py', '--size', self.size, '--seed', 0)
        return [
            Stage(f'RefShapes {self.size}', make, self.annotations / 'instances_testA.json'),
            self._train(),
            self._test(),
            self._draw(),
        ]

    def _data(self) -> list[str]:
        """Config options that put size and split in place of the config's."""
        files = {'train': 'train', 'val': 'val', 'test': self.split}
        options = []
        for loader, split in files.items():
            dataset, file = f'{loader}_dataloader.dataset', f'instances_{split}.json'
            options.append(f'{dataset}.ann_file={(self.annotations / file).resolve()}')
            options.append(f'{dataset}.data_prefix.img=images/refshapes_{self.size}')
            if loader != 'train':
                options.append(f'{loader}_evaluator.ann_file={self.annotations / file}')
        return options

    def _train(self) -> Stage:
        options = [*self._data(), *self.options]
        command = python(
            'tools/train.py', shipped(CONFIG), '--work-dir', self.work_dir, '--seed', self.seed,
            '--cfg-options', *options,
        )  # fmt: skip
        return Stage('train Mask R-CNN', command, self.checkpoint, epochs=epochs_of(CONFIG, options))

    def _test(self) -> Stage:
        command = python(
            'tools/test.py', shipped(CONFIG), self.checkpoint, '--work-dir', self.work_dir, '--json',
            self.scores, '--classwise', '--cfg-options', *self._data(),
        )  # fmt: skip
        return Stage(f'test on {self.split}', command, self.scores)

    def _draw(self) -> Stage:
        folder = Path(f'data/images/refshapes_{self.size}')
        images = [folder / f'{self.split}_{number:06d}.png' for number in range(self.pictures)]
        command = python(
            'demo/image_demo.py', '--config', shipped(CONFIG), '--weights', self.checkpoint, '--input',
            *images, '--output', f'{self.drawings}/', '--confidence-threshold', 0.5,
        )  # fmt: skip
        return Stage('draw predictions', command, self.drawings / images[-1].name)

    def summary(self, seconds: float) -> dict:
        """What ``summary.json`` holds, APs in percent; None where there is no truth of that size.

        Args:
            seconds: What all stages took.
        """
        found = load_json(self.scores)
        kinds = {
            kind: {heading: _percent(found.get(f'{kind}_{key}')) for heading, key in COLUMNS.items()}
            for kind in ('bbox', 'segm')
        }
        trained = load_json(self.folder / 'stages' / 'train_mask_r_cnn.json')['seconds']
        return {**kinds, 'train_seconds': round(trained, 1), 'seconds': round(seconds, 1), 'seed': self.seed}


def _percent(value: float | None) -> float | None:
    return None if value is None or value < 0 else round(100 * value, 2)
