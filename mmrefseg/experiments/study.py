"""The stages of Partial-RES on RefShapes, as commands of the package's own tools.

One boxes-only network (REC) per seed starts everything else; then, for every share of masks,
segmentation from these masks only, pseudo masks from all boxes, a selection, and retraining
from the same boxes-only network.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..runs.places import shipped
from .stages import Stage, python

SELECTIONS = {'masks_only': None, 'unselected': 'all', 'rpp': 'rpp'}
"""What is trained on: the few masks alone, with all pseudo masks, with the selected ones."""


@dataclass(frozen=True)
class Variant:
    """One number of the paper's table.

    Attributes:
        ratio: Percent of the objects that have a mask; 100 is the ceiling.
        selection: A key of :data:`SELECTIONS`.
    """

    ratio: int
    selection: str = 'masks_only'

    @property
    def name(self) -> str:
        """For instance ``m05_rpp``."""
        return f'm{self.ratio:02d}_{self.selection}'


class PartialStudy:
    """Commands and files of a study with one seed.

    Args:
        folder: Where everything is written.
        seed: Of the mask sample and of every training.
        size: RefShapes size.
        split: The split that the numbers are from.
        options: ``key=value`` config options for every training (to make tests short).
        long_epochs: Epochs of the trainings that see all pictures, with all masks or with pseudo masks;
            the configs' if it is left out.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        size: str = 'small',
        split: str = 'testA',
        options: tuple[str, ...] = (),
        long_epochs: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.seed = seed
        self.size = size
        self.split = split
        self.options = options
        self.long_options = () if long_epochs is None else schedule_options(long_epochs)

    @property
    def size_options(self) -> list[str]:
        """Config options that put another RefShapes size in place of the configs' ``small``."""
        return refshapes_options(self.size)

    @property
    def full_annotations(self) -> Path:
        """All masks."""
        return Path(f'data/annotations/refshapes_{self.size}/instances.json')

    def sample(self, ratio: int) -> Path:
        """The annotations in which ``ratio`` percent of the objects have a mask."""
        return self.folder / 'annotations' / f'instances_sample_{ratio}.json'

    def picked(self, variant: Variant) -> Path:
        """The sample with pseudo masks."""
        return self.folder / 'annotations' / f'instances_sample_{variant.ratio}_{variant.selection}_pick.json'

    def report(self, variant: Variant) -> Path:
        """What the selection says of itself."""
        return self.picked(variant).with_name(f'{self.picked(variant).stem}_report.json')

    def work_dir(self, name: str) -> Path:
        """Where a network is trained."""
        return self.folder / name

    def scores(self, name: str) -> Path:
        """The test's numbers of a network."""
        return self.work_dir(name) / f'{self.split}.json'

    def stages(self, ratios: Iterable[int]) -> list[Stage]:
        """The paper's table: boxes, the ceiling, and for each ratio all that can be trained on."""
        stages = [self.data(), self.samples((1, 5, 10)), *self.rec(), *self.variant(Variant(100))]
        for ratio in ratios:
            stages += [*self.variant(Variant(ratio)), self.predict(ratio)]
            for selection in ('rpp', 'unselected'):
                stages += self.variant(Variant(ratio, selection))
        return stages

    def data(self) -> Stage:
        """Make RefShapes."""
        command = python('tools/dataset_converters/create_refshapes.py', '--size', self.size, '--seed', 0)
        return Stage(f'RefShapes {self.size}', command, self.full_annotations)

    def samples(self, ratios: tuple[int, ...]) -> Stage:
        """Draw the nested samples."""
        command = python(
            'tools/dataset_converters/sample_masks.py', self.full_annotations, '--ratio', *ratios,
            '--seed', self.seed, '--out-dir', self.sample(ratios[0]).parent,
        )  # fmt: skip
        return Stage('draw the masks that are known', command, self.sample(ratios[-1]))

    def train(
        self, name: str, config: str, annotations: Path | None, label: str, schedule: tuple[str, ...] = ()
    ) -> Stage:
        """Train a network; all but the first start from it."""
        options = [*self.size_options, *schedule, *self.options]
        if annotations is not None:
            options.append(f'train_dataloader.dataset.ann_file={annotations.resolve()}')
        start = [] if name == 'rec' else ['--load-from', self.work_dir('rec') / 'best.pth']
        command = python(
            'tools/train.py', config_of(config), '--work-dir', self.work_dir(name),
            '--seed', self.seed, *start, '--cfg-options', *options,
        )  # fmt: skip
        command = command if options else command[:-1]
        return Stage(
            label,
            command,
            self.work_dir(name) / 'best.pth',
            epochs=epochs_of(config_of(config), options),
        )

    def test(self, name: str, config: str, label: str) -> Stage:
        """Score a network."""
        command = python(
            'tools/test.py', config_of(config), self.work_dir(name) / 'best.pth',
            '--which-set', self.split, '--json', self.scores(name), '--work-dir', self.work_dir(name),
            *(['--cfg-options', *self.size_options] if self.size_options else []),
        )  # fmt: skip
        return Stage(f'test: {label}', command, self.scores(name))

    def rec(self) -> Iterator[Stage]:
        """Stage 1: boxes only."""
        yield self.train('rec', 'rec', None, 'boxes only (REC)')
        yield self.test('rec', 'rec', 'boxes only')

    def variant(self, variant: Variant) -> Iterator[Stage]:
        """Train and test one variant (its pseudo masks must have been predicted)."""
        ratio = f'{variant.ratio} % of the masks'
        config, annotations, label = f'm{variant.ratio:02d}', self.sample(variant.ratio), ratio
        if variant.ratio == 100:
            config, annotations, label = 'm100', self.full_annotations, 'all masks'
        if variant.selection != 'masks_only':
            config, annotations = f'{config}-retrain', self.picked(variant)
            label = f'{ratio} + {"RPP" if variant.selection == "rpp" else "all pseudo masks"}'
            yield self.pick(variant)
        few = variant.selection == 'masks_only' and variant.ratio < 100
        yield self.train(variant.name, config, annotations, label, () if few else self.long_options)
        yield self.test(variant.name, config, label)

    def predict(self, ratio: int) -> Stage:
        """Stage 3a: pseudo points from all boxes."""
        network = Variant(ratio).name
        prefix = self.work_dir(network) / 'pseudo'
        command = python(
            'tools/test.py', config_of(f'm{ratio:02d}-pseudo'), self.work_dir(network) / 'best.pth',
            '--work-dir', self.work_dir(network), '--json', self.work_dir(network) / 'pseudo_count.json',
            '--cfg-options', *self.size_options, f'test_evaluator.outfile_prefix={prefix}',
            f'test_dataloader.dataset.ann_file={self.sample(ratio).resolve()}',
            'test_dataloader.dataset.skip_predicted=None',
        )  # fmt: skip
        return Stage(f'pseudo points from {ratio} % of the masks', command, Path(f'{prefix}.rank0.jsonl'))

    def pick(self, variant: Variant) -> Stage:
        """Stage 3a's selection."""
        predictions = self.work_dir(Variant(variant.ratio).name) / 'pseudo'
        command = python(
            'tools/choose_pseudo_data.py', '--predictions', predictions,
            '--annotations', self.sample(variant.ratio), '--full-annotations', self.full_annotations,
            '--out', self.picked(variant), '--strategy', SELECTIONS[variant.selection],
            '--report', self.report(variant),
        )  # fmt: skip
        name = f'select from {variant.ratio} % of the masks ({variant.selection})'
        return Stage(name, command, self.report(variant))


def config_of(stage: str) -> Path:
    """The shipped config of a stage on RefShapes, such as ``rec`` or ``m05-retrain``."""
    return shipped(f'configs/partial_res/partial-res_tiny_{stage}_refshapes.py')


def schedule_options(epochs: int) -> tuple[str, ...]:
    """Config options that make a RefShapes training last so many epochs."""
    keys = ('train_cfg.max_epochs', 'train_cfg.val_interval', 'param_scheduler.1.T_max')
    return tuple(f'{key}={epochs}' for key in keys)


def refshapes_options(size: str) -> list[str]:
    """Config options that put another RefShapes size in place of the configs' ``small``."""
    if size == 'small':
        return []
    ann_file = Path(f'data/annotations/refshapes_{size}/instances.json').resolve()
    options = [f'model.language_model.vocabulary.ann_file={ann_file}']
    for loader in ('train', 'val', 'test'):
        dataset = f'{loader}_dataloader.dataset'
        options.append(f'{dataset}.ann_file={ann_file}')
        options.append(f'{dataset}.data_prefix.img_path=images/refshapes_{size}')
    return options


def epochs_of(path: str | Path, options: list[str]) -> int:
    """Epochs of a training, from the options or its config."""
    from mmengine.config import Config

    for option in reversed(options):  # the last one counts
        key, _, value = option.partition('=')
        if key == 'train_cfg.max_epochs':
            return int(value)
    return Config.fromfile(shipped(path)).train_cfg.max_epochs
