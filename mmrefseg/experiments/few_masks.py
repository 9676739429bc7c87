"""The stages of Partial-RES, BoxFrame and BoxRefiner on RefShapes, as commands of the package's own tools.

One boxes-only network (REC) starts everything else; then, for every share of masks, segmentation
from these masks only, pseudo masks from all boxes, a selection, and retraining from the same
boxes-only network.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..runs.options import check_checkpoint
from ..utils import UserInputError
from ..utils.places import is_shipped, shipped
from .stages import Stage, python

SELECTIONS = {'masks_only': None, 'rpp': 'rpp', 'unselected': 'all'}
"""What is trained on: the few masks alone, with all pseudo masks, with the selected ones."""

READOUTS = {'decoder': (), 'cells': ('model.head.contours_from=cells',), 'refiner': ()}
"""Config options by what the mask of a test is read from: the sequence that the decoder gives, the dense mask
of the box's cells, or what the refiner draws in the box's window."""

CHOOSING_SPLIT = 'val'
"""The split that says which readout is best; testA is only reported."""

SHIPPED_REC = 'mmrefseg://rec_tiny_refshapes'
"""The boxes-only network on RefShapes that comes with the package."""


@dataclass(frozen=True)
class Network:
    """A network that learns from few masks.

    Attributes:
        name: As its configs begin.
        title: As tables call it.
        configs: Where its configs lie; ``{}`` stands for the stage.
        readouts: Keys of :data:`READOUTS` that it has.
        options: ``key=value`` config options of its trainings on masks.
        best: By a key of :data:`SELECTIONS`, the readout of the larger mIoU on val over the seeds of
            ``make experiment`` (docs/experiment.md); a network with one readout has no entry.
        predicts_quality: Whether it has a last stage that learns scores, predicted IoUs.
    """

    name: str
    title: str
    configs: str
    readouts: tuple[str, ...]
    options: tuple[str, ...] = ()
    best: Mapping[str, str] = field(default_factory=dict, compare=False)
    predicts_quality: bool = False

    def best_readout(self, selection: str) -> str:
        """What reads it best after training on a key of :data:`SELECTIONS`, as val has said."""
        return self.best.get(selection, self.readouts[0])

    def config(self, stage: str) -> Path:
        """The shipped config of a stage, such as ``rec`` or ``m05-retrain``."""
        return shipped(self.configs.format(stage))


PARTIAL_RES = Network(
    'partial-res', 'Partial-RES', 'configs/partial_res/partial-res_tiny_{}_refshapes.py', ('decoder',)
)
BOX_FRAME = Network(
    'box-frame',
    'BoxFrame',
    'configs/extended/box-frame_tiny_{}_refshapes.py',
    ('decoder', 'cells'),
    best={'masks_only': 'cells', 'rpp': 'decoder'},
)
FROZEN_BOX_FRAME = Network(
    'box-frame-frozen',
    'BoxFrame on frozen boxes',
    BOX_FRAME.configs,
    ('cells',),
    (
        'default_hooks.train_only.type=TrainOnlyHook',
        'default_hooks.train_only.modules=[head.roi_memory,head.mask_cell_head]',
        'model.head.mask_weight=0',
        'model.head.contours_from=cells',
        # a box starts from zeros, as in the boxes-only network
        'model.head.init_cfg.type=Constant',
        'model.head.init_cfg.val=0.0',
        'model.head.init_cfg.override.name=task_embedding',
    ),
)
"""Masks teach the box's features and its cells; the boxes-only network stays as it is, so steps are cheap."""
BOX_REFINER = Network(
    'box-refiner',
    'BoxRefiner',
    'configs/extended/box-refiner_tiny_{}_refshapes.py',
    ('refiner',),
    predicts_quality=True,
)
"""The boxes-only network stays as it is; a small network draws the masks in its boxes (docs/refiner.md)."""
NETWORKS = {network.name: network for network in (PARTIAL_RES, BOX_FRAME, FROZEN_BOX_FRAME, BOX_REFINER)}


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
    """Commands and files of a study of one network with one seed.

    Args:
        folder: Where everything is written.
        seed: Of the mask sample and of every training.
        size: RefShapes size.
        split: The split that the numbers are from.
        options: ``key=value`` config options for every training (to make tests short).
        network: The network.
        rec: The checkpoint of the boxes-only network, a file or :data:`SHIPPED_REC`; None trains it.
        shared: Where the mask sample and the boxes-only network of several studies with this seed
            lie; ``folder`` if it is left out.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        size: str = 'small',
        split: str = 'testA',
        options: tuple[str, ...] = (),
        network: Network = BOX_FRAME,
        rec: str | None = None,
        shared: Path | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.seed = seed
        self.size = size
        self.split = split
        self.options = options
        self.network = network
        self.shared = self.folder if shared is None else Path(shared)
        self.trains_rec = rec is None
        self.rec_checkpoint = str(self.shared / 'rec' / 'best.pth') if rec is None else existing(rec)

    def size_options(self, config: Path) -> list[str]:
        """Config options that put another RefShapes size in place of the configs' ``small``.

        Weights of the package keep their words, which are those of ``small``.
        """
        if self.size == 'small':
            return []
        from mmengine.config import Config

        from ..runs.words import language_models  # brings torch

        ((reader, _),) = language_models(Config.fromfile(config).model, 'model')
        vocabulary = f'{reader}.vocabulary'
        options = [f'{vocabulary}.ann_file={self.full_annotations.resolve()}']
        if is_shipped(self.rec_checkpoint):
            options = [f'{vocabulary}.ann_file=None', f'{vocabulary}.file={self.rec_checkpoint}']
        for loader in ('val', 'test'):
            options += self.files(f'{loader}_dataloader.dataset', self.full_annotations)
        return options

    def files(self, key: str, annotations: Path) -> list[str]:
        """Config options that make a data set read this file, and the images of the study's size."""
        options = [f'{key}.ann_file={Path(annotations).resolve()}']
        if self.size != 'small':
            options.append(f'{key}.data_prefix.img_path=images/refshapes_{self.size}')
        return options

    @property
    def full_annotations(self) -> Path:
        """All masks."""
        return Path(f'data/annotations/refshapes_{self.size}/instances.json')

    def sample(self, ratio: int) -> Path:
        """The annotations in which ``ratio`` percent of the objects have a mask."""
        return self.shared / 'annotations' / f'instances_sample_{ratio}.json'

    def picked(self, variant: Variant) -> Path:
        """The sample with pseudo masks."""
        return self.folder / 'annotations' / f'instances_sample_{variant.ratio}_{variant.selection}_pick.json'

    def report(self, variant: Variant) -> Path:
        """What the selection says of itself."""
        return self.picked(variant).with_name(f'{self.picked(variant).stem}_report.json')

    def work_dir(self, name: str) -> Path:
        """Where a network is trained."""
        return self.folder / name

    def checkpoint(self, variant: Variant) -> Path:
        """The weights of a variant."""
        return self.work_dir(variant.name) / 'best.pth'

    @property
    def rec_scores(self) -> Path:
        """The test's numbers of the boxes-only network."""
        return self.shared / 'rec' / f'{self.split}.json'

    def scores(self, name: str, readout: str, split: str | None = None) -> Path:
        """The numbers of a network by a key of :data:`READOUTS`, on the study's split if none is named."""
        return self.work_dir(name) / f'{split or self.split}_{readout}.json'

    def stages(self, ratios: Iterable[int], selections: Iterable[str] = tuple(SELECTIONS)) -> list[Stage]:
        """The paper's table but for what several studies share, val included where readouts compete.

        Args:
            ratios: Percent of masks, in the order they run; 100 is the ceiling.
            selections: Keys of :data:`SELECTIONS`; masks only comes first wherever there are pseudo masks.
        """
        stages, pseudo = [], [name for name in selections if name != 'masks_only']
        for ratio in ratios:
            stages += self.scored(Variant(ratio))
            if pseudo and ratio < 100:
                stages.append(self.predict(ratio))
                stages += [stage for name in pseudo for stage in self.scored(Variant(ratio, name))]
        return stages

    def scored(self, variant: Variant) -> list[Stage]:
        """Train one variant and test it, on val too where several readouts compete."""
        splits = (self.split,) if len(self.network.readouts) == 1 else (CHOOSING_SPLIT, self.split)
        return list(self.variant(variant, splits=splits))

    def data(self) -> Stage:
        """Make RefShapes."""
        command = python('tools/dataset_converters/create_refshapes.py', '--size', self.size, '--seed', 0)
        return Stage(f'RefShapes {self.size}', command, self.full_annotations)

    def samples(self, ratios: tuple[int, ...], more: tuple[str, ...] = ()) -> Stage:
        """Draw the nested samples; ``more`` are further options of the tool."""
        command = python(
            'tools/dataset_converters/sample_masks.py', self.full_annotations, '--ratio', *ratios,
            '--seed', self.seed, '--out-dir', self.sample(ratios[0]).parent, *more,
        )  # fmt: skip
        return Stage('draw the masks that are known', command, self.sample(ratios[-1]))

    def train(
        self, config: Path, work_dir: Path, label: str, start: str | None, annotations: Path, *more: str
    ) -> Stage:
        """Train a network.

        Args:
            config: Its config file.
            work_dir: Where it is trained.
            label: What it is trained on.
            start: The checkpoint that it starts from.
            annotations: What it is trained on.
            *more: ``key=value`` config options besides those of the study.
        """
        files = [option for key in leaves_of(config) for option in self.files(key, annotations)]
        options = [*self.size_options(config), *files, *self.options, *more]
        command = python(
            'tools/train.py', config, '--work-dir', work_dir, '--seed', self.seed,
            *([] if start is None else ['--load-from', start]),
            '--cfg-options', *options,
        )  # fmt: skip
        return Stage(label, command, work_dir / 'best.pth', epochs=epochs_of(config, options))

    def test(
        self,
        config: Path,
        checkpoint: str | Path,
        scores: Path,
        label: str,
        options: Iterable[str] = (),
        split: str | None = None,
    ) -> Stage:
        """Score a network, into the folder of ``scores``, on the study's split if no other is named."""
        changes = [*self.size_options(config), *options]
        command = python(
            'tools/test.py', config, checkpoint, '--which-set', split or self.split, '--json', scores,
            '--work-dir', scores.parent, *(['--cfg-options', *changes] if changes else []),
        )  # fmt: skip
        return Stage(f'test: {label}', command, scores)

    def rec(self) -> Iterator[Stage]:
        """Stage 1, boxes only: trained if no checkpoint was given, and tested."""
        config = BOX_FRAME.config('rec')  # both networks start from this one
        if self.trains_rec:
            yield self.train(config, self.shared / 'rec', 'boxes only (REC)', None, self.full_annotations)
        yield self.test(config, self.rec_checkpoint, self.rec_scores, 'boxes only')

    def variant(self, variant: Variant, splits: Iterable[str] | None = None) -> Iterator[Stage]:
        """Train and test one variant (its pseudo masks must have been predicted).

        Args:
            variant: Which.
            splits: What it is tested on, by every readout; the study's split if it is left out.
        """
        ratio = f'{variant.ratio} % of the masks'
        stage, annotations, label = f'm{variant.ratio:02d}', self.sample(variant.ratio), ratio
        if variant.ratio == 100:
            stage, annotations, label = 'm100', self.full_annotations, 'all masks'
        if variant.selection != 'masks_only':
            stage, annotations = f'{stage}-retrain', self.picked(variant)
            label = f'{ratio} + {"RPP" if variant.selection == "rpp" else "all pseudo masks"}'
            yield self.pick(variant)
        config, work_dir = self.network.config(stage), self.work_dir(variant.name)
        start, options = self.rec_checkpoint, self.network.options
        yield self.train(config, work_dir, label, start, annotations, *options)
        for split in dict.fromkeys((self.split,) if splits is None else splits):
            for readout in self.network.readouts:
                scores = self.scores(variant.name, readout, split)
                title = f'{label}, {readout}' if split == self.split else f'{label}, {readout}, {split}'
                yield self.test(config, self.checkpoint(variant), scores, title, READOUTS[readout], split)

    def quality(self, variant: Variant) -> Stage:
        """The last stage, of a variant of a network that has it: scores that say how good a mask is."""
        config = self.quality_config(variant)
        work_dir, label = self.quality_checkpoint(variant).parent, f'scores of {variant.name}'
        return self.train(config, work_dir, label, str(self.checkpoint(variant)), self.sample(variant.ratio))

    def quality_config(self, variant: Variant) -> Path:
        """The config of :meth:`quality`."""
        return self.network.config(f'm{variant.ratio:02d}-quality')

    def quality_checkpoint(self, variant: Variant) -> Path:
        """The weights of :meth:`quality`."""
        return self.work_dir(f'{variant.name}_quality') / 'best.pth'

    def predict(self, ratio: int) -> Stage:
        """Stage 3a: pseudo points from all boxes."""
        variant = Variant(ratio)
        work_dir, config = self.work_dir(variant.name), self.network.config(f'm{ratio:02d}-pseudo')
        command = python(
            'tools/test.py', config, self.checkpoint(variant),
            '--work-dir', work_dir, '--json', work_dir / 'pseudo_count.json',
            '--cfg-options', *self.size_options(config),
            f'test_evaluator.outfile_prefix={work_dir / "pseudo"}',
            f'test_dataloader.dataset.ann_file={self.sample(ratio).resolve()}',
            'test_dataloader.dataset.skip_predicted=None',
        )  # fmt: skip
        return Stage(f'pseudo points from {ratio} % of the masks', command, work_dir / 'pseudo.rank0.jsonl')

    def pick(self, variant: Variant) -> Stage:
        """Stage 3a's selection."""
        command = python(
            'tools/choose_pseudo_data.py',
            '--predictions', self.work_dir(Variant(variant.ratio).name) / 'pseudo',
            '--annotations', self.sample(variant.ratio), '--full-annotations', self.full_annotations,
            '--out', self.picked(variant), '--strategy', SELECTIONS[variant.selection],
            '--report', self.report(variant),
        )  # fmt: skip
        name = f'select from {variant.ratio} % of the masks ({variant.selection})'
        return Stage(name, command, self.report(variant))


def existing(checkpoint: str) -> str:
    """A checkpoint that was named by the user: an address of mmengine's, or a file that is there and is one.

    Raises:
        UserInputError: If it is neither.
    """
    try:
        check_checkpoint(checkpoint)
    except UserInputError as error:
        raise UserInputError(f'--rec {error} (without --rec: {SHIPPED_REC})') from None
    return checkpoint


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


def leaves_of(config: Path) -> list[str]:
    """Where the data sets are that a config trains on, which others repeat and join: keys of options."""
    from mmengine.config import Config

    return list(_leaves(Config.fromfile(config).train_dataloader.dataset, 'train_dataloader.dataset'))


def _leaves(node: Mapping[str, Any], key: str) -> Iterator[str]:
    if 'datasets' in node:
        for place, each in enumerate(node['datasets']):
            yield from _leaves(each, f'{key}.datasets.{place}')
    elif 'dataset' in node:
        yield from _leaves(node['dataset'], f'{key}.dataset')
    else:
        yield key


def epochs_of(path: str | Path, options: list[str]) -> int:
    """Epochs of a training, from the options or its config; 1 where the config counts steps."""
    from mmengine.config import Config

    for option in reversed(options):  # the last one counts
        key, _, value = option.partition('=')
        if key == 'train_cfg.max_epochs':
            return int(value)
    return Config.fromfile(shipped(path)).train_cfg.get('max_epochs', 1)
