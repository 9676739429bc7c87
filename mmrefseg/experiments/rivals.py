"""Ways to learn from objects that have a box and no mask, as rows of one table.

Each trains the same refiner on the same frozen boxes (docs/refiner.md), from the same masks, for about
2250 steps; from boxes alone 1500, the ceiling four times as many.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..utils.places import shipped
from .few_masks import BOX_REFINER, CHOOSING_SPLIT, PartialStudy
from .stages import Stage, python

SHARES = (0, 1, 5, 10)


@dataclass(frozen=True)
class Method:
    """One way to learn where there is no mask.

    Attributes:
        name: Of its folders.
        label: As tables call it.
        config: Of its training, below ``configs/extended``; ``{}`` stands for the percent of masks.
        options: ``key=value`` config options of its training.
        shares: Percent of masks for which it is trained.
        strategy: Of ``choose_pseudo_data.py``, for methods that retrain with pseudo masks, and what else it
            is told.
        start: The method whose network predicts these pseudo masks; with no masks at all :data:`BOXES` stands
            in for :data:`MASKS`, for nothing else can learn from boxes alone.
    """

    name: str
    label: str
    config: str
    shares: tuple[int, ...] = SHARES
    strategy: tuple[str, ...] = ()
    start: str | None = None
    options: tuple[str, ...] = ()

    def teacher(self, share: int) -> str | None:
        """The method whose network predicts pseudo masks from ``share`` percent of the masks, if any does."""
        return BOXES if self.start == MASKS and not share else self.start

    def config_for(self, share: int) -> Path:
        """The config of its training with ``share`` percent of the masks."""
        name = _M00 if self.name == BOXES and not share else self.config.format(f'{share:02d}')
        return shipped(f'configs/extended/{name}')


MASKS, BOXES, CEILING, RPP = 'masks', 'boxes', 'ceiling', 'rpp'
_M00 = 'box-refiner_tiny_m00_refshapes.py'
_RETRAIN = 'box-refiner_tiny_m{}-retrain_refshapes.py'
_FEW = (1, 5, 10)
METHODS = (
    Method(CEILING, 'all masks, 24 epochs (ceiling)', 'box-refiner_tiny_m{}-long_refshapes.py', (100,)),
    Method('all', 'all masks, as many steps as below', 'box-refiner_tiny_m{}_refshapes.py', (100,)),
    Method(MASKS, 'masks only', 'box-refiner_tiny_m{}_refshapes.py', _FEW),
    Method('unselected', '+ all pseudo masks', _RETRAIN, strategy=('all',), start=MASKS),
    Method(
        'score',
        '+ pseudo masks of a confidence',
        _RETRAIN,
        strategy=('score', '--threshold', '0.95'),
        start=MASKS,
    ),
    Method(RPP, '+ RPP (Partial-RES)', _RETRAIN, strategy=('rpp',), start=MASKS),
    Method(
        'teacher', '+ EMA teacher, box filter (after Omni-RES)', 'box-refiner_tiny_m{}-teacher_refshapes.py'
    ),
    Method(BOXES, '+ projection and colour (BoxInst)', 'ablation/box-refiner_tiny_m{}-boxes_refshapes.py'),
    Method('boxes_rpp', '+ BoxInst, then RPP', _RETRAIN, _FEW, ('rpp',), BOXES),
    Method('rounds', '+ RPP, twice', _RETRAIN, strategy=('rpp',), start=RPP),
)
"""In the order of the table."""
BY_NAME = {method.name: method for method in METHODS}


class RivalStudy(PartialStudy):
    """Commands and files of all methods with one seed: :class:`PartialStudy`'s, of :data:`BOX_REFINER`."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, network=BOX_REFINER, **kwargs)

    def stages(self, shares: Sequence[int] = SHARES, names: Sequence[str] | None = None) -> Iterator[Stage]:
        """Every method for every share of masks, the ceiling first.

        Args:
            shares: Percent of masks.
            names: Of the methods; all by default. Whose pseudo masks one of them needs is trained, too.
        """
        done: set[str] = set()
        for share in (100, *shares):
            for method in METHODS:
                if share in method.shares and (names is None or method.name in names):
                    yield from self._method(method, share, done)

    def _method(self, method: Method, share: int, done: set[str]) -> Iterator[Stage]:
        """What it learns from, its training and its tests, but for what is ``done``."""
        name, annotations = folder_of(method, share), self.sample(share)
        if name in done:
            return
        done.add(name)
        if share == 100:
            annotations = self.full_annotations
        if teacher := method.teacher(share):
            source = f'm{share:02d}_{teacher}'
            yield from self._method(BY_NAME[teacher], share, done)
            if (pseudo := f'{source} pseudo') not in done:
                done.add(pseudo)
                yield self._pseudo(source, share)
            annotations = self.folder / 'annotations' / f'{name}.json'
            yield self._select(source, share, method, annotations)
        yield from self._trained(name, method.config_for(share), annotations, method.options)

    def _trained(self, name: str, config: Path, annotations: Path, options: Sequence[str]) -> Iterator[Stage]:
        """Train and test: val decides, the study's split is reported."""
        work_dir = self.work_dir(name)
        yield self.train(config, work_dir, name, self.rec_checkpoint, annotations, *options)
        for split in dict.fromkeys((CHOOSING_SPLIT, self.split)):
            scores = self.scores(name, 'mask', split)
            yield self.test(config, work_dir / 'best.pth', scores, f'{name}, {split}', split=split)

    def _pseudo(self, source: str, share: int) -> Stage:
        """Masks in all known boxes, by a network that is trained."""
        work_dir = self.work_dir(source)
        config = BOX_REFINER.config(f'm{share:02d}-pseudo')
        files = self.files('test_dataloader.dataset', self.sample(share))
        command = python(
            'tools/test.py', config, work_dir / 'best.pth', '--work-dir', work_dir,
            '--json', work_dir / 'pseudo_count.json', '--cfg-options', *self.size_options(config), *files,
            f'test_evaluator.outfile_prefix={work_dir / "pseudo"}',
            'test_dataloader.dataset.skip_predicted=None',
        )  # fmt: skip
        return Stage(f'pseudo masks of {source}', command, work_dir / 'pseudo.rank0.jsonl')

    def _select(self, source: str, share: int, method: Method, out: Path) -> Stage:
        report = out.with_name(f'{out.stem}_report.json')
        command = python(
            'tools/choose_pseudo_data.py', '--predictions', self.work_dir(source) / 'pseudo',
            '--annotations', self.sample(share), '--full-annotations', self.full_annotations,
            '--out', out, '--report', report, '--strategy', *method.strategy,
        )  # fmt: skip
        return Stage(f'select {out.stem}', command, report)


def folder_of(method: Method, share: int) -> str:
    """Where the network of a method is trained."""
    return f'm{share:02d}_{method.name}'
