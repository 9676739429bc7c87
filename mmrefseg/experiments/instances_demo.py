"""Mask R-CNN on RefShapes as commands of the package's own tools: train, test, draw; with few masks, too."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..utils import dump_json, load_json
from ..utils.places import shipped
from .experiment_tables import mean_and_spread, spread
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
        config: What is trained, from the root of the checkout.
        train_file: Annotations to train on; by default all of RefShapes' training split.
    """

    folder: Path
    seed: int = 0
    size: str = 'small'
    split: str = 'testA'
    pictures: int = 8
    options: tuple[str, ...] = ()
    config: str = CONFIG
    train_file: Path | None = None

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
        return [self.data(), self.train(), self.test(), self._draw()]

    def data(self) -> Stage:
        """RefShapes."""
        command = python('tools/dataset_converters/create_refshapes.py', '--size', self.size, '--seed', 0)
        return Stage(f'RefShapes {self.size}', command, self.annotations / 'instances_testA.json')

    def _data(self) -> list[str]:
        """Config options that put size and split in place of the config's."""
        files = {
            'train': self.train_file or self.annotations / 'instances_train.json',
            'val': self.annotations / 'instances_val.json',
            'test': self.annotations / f'instances_{self.split}.json',
        }
        options = []
        for loader, file in files.items():
            dataset = f'{loader}_dataloader.dataset'
            options.append(f'{dataset}.ann_file={file.resolve()}')
            options.append(f'{dataset}.data_prefix.img=images/refshapes_{self.size}')
            if loader != 'train':
                options.append(f'{loader}_evaluator.ann_file={file}')
        return options

    def train(self) -> Stage:
        """From scratch."""
        options = [*self._data(), *self.options]
        command = python(
            'tools/train.py', shipped(self.config), '--work-dir', self.work_dir, '--seed', self.seed,
            '--cfg-options', *options,
        )  # fmt: skip
        return Stage('train Mask R-CNN', command, self.checkpoint, epochs=epochs_of(self.config, options))

    def test(self) -> Stage:
        """AP of boxes and masks, and of each class."""
        command = python(
            'tools/test.py', shipped(self.config), self.checkpoint, '--work-dir', self.work_dir, '--json',
            self.scores, '--classwise', '--cfg-options', *self._data(),
        )  # fmt: skip
        return Stage(f'test on {self.split}', command, self.scores)

    def _draw(self) -> Stage:
        folder = Path(f'data/images/refshapes_{self.size}')
        images = [folder / f'{self.split}_{number:06d}.png' for number in range(self.pictures)]
        command = python(
            'demo/image_demo.py', '--config', shipped(self.config), '--weights', self.checkpoint, '--input',
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


RATIO = 5
ROWS = {
    'with_boxes': (
        f'{RATIO} % of the masks, the boxes of all objects',
        'configs/mask_rcnn/mask-rcnn_tiny_m05_refshapes.py',
    ),
    'without_boxes': (
        'the same masks, the other objects left out',
        'configs/mask_rcnn/ablation/mask-rcnn_tiny_m05-no-boxes_refshapes.py',
    ),
    'all_masks': ('all masks', CONFIG),
}
"""What is compared, in the order it runs: what each is trained on, and its config."""


@dataclass(frozen=True)
class FewMasksComparison:
    """Mask R-CNN from few masks: what the boxes of the other objects add, and what all masks would give.

    Attributes:
        folder: Where everything is written.
        seeds: Each draws its own sample of masks and trains every row of :data:`ROWS`.
        size: RefShapes size.
        split: The split that is tested on.
        options: ``key=value`` config options for every training (to make tests short).
    """

    folder: Path
    seeds: Sequence[int]
    size: str = 'small'
    split: str = 'testA'
    options: tuple[str, ...] = ()

    def jobs(self) -> list[tuple[Path, list[Stage]]]:
        """Folders for logs, and the stages that belong to each, in order."""
        jobs = []
        for seed in self.seeds:
            demos = self._demos(seed)
            first = next(iter(demos.values()))
            jobs.append((self.folder / f'seed{seed}' / 'stages', [first.data(), self._sample(seed)]))
            jobs += [(demo.folder / 'stages', [demo.train(), demo.test()]) for demo in demos.values()]
        return jobs

    def _sampled(self, seed: int) -> Path:
        return self.folder / f'seed{seed}' / 'annotations' / f'instances_train_sample_{RATIO}.json'

    def _sample(self, seed: int) -> Stage:
        source = InstancesDemo(self.folder, size=self.size).annotations / 'instances_train.json'
        command = python(
            'tools/dataset_converters/sample_masks.py', source, '--ratio', RATIO, '--seed', seed, '--out-dir',
            self._sampled(seed).parent,
        )  # fmt: skip
        return Stage(f'sample {RATIO} % of the masks', command, self._sampled(seed))

    def _demos(self, seed: int) -> dict[str, InstancesDemo]:
        """One for each row."""
        return {
            name: InstancesDemo(
                self.folder / f'seed{seed}' / name,
                seed,
                self.size,
                self.split,
                options=self.options,
                config=config,
                train_file=None if name == 'all_masks' else self._sampled(seed),
            )
            for name, (_, config) in ROWS.items()
        }

    def summary(self) -> list[dict]:
        """A row for all that is done of each: title, seeds, mean and spread of the APs in percent."""
        rows = []
        for name, (title, _) in ROWS.items():
            files = {seed: self._demos(seed)[name].scores for seed in self.seeds}
            found = {seed: load_json(path) for seed, path in files.items() if path.exists()}
            if found:
                aps = {
                    key: spread([100 * scores[key] for scores in found.values()])
                    for key in ('segm_mAP', 'segm_mAP_50', 'bbox_mAP', 'bbox_mAP_50')
                }
                rows.append({'trained_on': title, 'seeds': list(found), **aps})
        return rows

    def write_report(self) -> str:
        """Write ``summary.json``; returns the table in markdown."""
        rows = self.summary()
        dump_json(
            {'size': self.size, 'split': self.split, 'rows': rows}, self.folder / 'summary.json', indent=2
        )
        lines = ['| trained on | mask AP | mask AP50 | box AP | box AP50 | seeds |', '|---' * 6 + '|']
        for row in rows:
            cells = [mean_and_spread(number) for number in row.values() if isinstance(number, dict)]
            seeds = ' '.join(map(str, row['seeds']))
            lines.append(f'| {row["trained_on"]} | {" | ".join(cells)} | {seeds} |')
        return '\n'.join(lines) + '\n'
