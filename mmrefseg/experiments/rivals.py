"""Ways to learn from objects that have a box and no mask, as rows of one table.

Each trains the same refiner on the same frozen boxes (docs/refiner.md), from the same masks, for about
2250 steps; from boxes alone 1500.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..utils import atomic_write, dump_json, load_json
from ..utils.places import shipped
from .experiment_tables import mean_and_spread, spread
from .few_masks import BOX_REFINER, CHOOSING_SPLIT, PartialStudy
from .stages import Stage, python

SHARES = (0, 1, 5, 10)
KEYS = ('miou', 'p90')
CEILING = 'm100'


@dataclass(frozen=True)
class Method:
    """One way to learn where there is no mask.

    Attributes:
        name: Of its folders.
        label: As tables call it.
        config: Of its training, below ``configs/extended``; ``{}`` stands for the percent of masks.
        shares: Percent of masks for which it is trained.
        strategy: Of ``choose_pseudo_data.py``, for methods that retrain with pseudo masks, and what else it
            is told.
        start: The method whose network predicts these pseudo masks; with no masks at all it is always
            :data:`BOXES`, for nothing else can learn from boxes alone.
    """

    name: str
    label: str
    config: str
    shares: tuple[int, ...] = SHARES
    strategy: tuple[str, ...] = ()
    start: str | None = None

    def teacher(self, share: int) -> str | None:
        """The method whose network predicts pseudo masks from ``share`` percent of the masks, if any does."""
        return self.start if share or self.start is None else BOXES


MASKS, BOXES = 'masks', 'boxes'
_RETRAIN = 'box-refiner_tiny_m{}-retrain_refshapes.py'
METHODS = (
    Method(MASKS, 'masks only', 'ablation/box-refiner_tiny_m{}-masks-only_refshapes.py', (1, 5, 10)),
    Method('unselected', '+ all pseudo masks', _RETRAIN, strategy=('all',), start=MASKS),
    Method(
        'score',
        '+ pseudo masks of a confidence',
        _RETRAIN,
        strategy=('score', '--threshold', '0.95'),
        start=MASKS,
    ),
    Method('rpp', '+ RPP (Partial-RES)', _RETRAIN, strategy=('rpp',), start=MASKS),
    Method(
        'teacher', '+ EMA teacher, box filter (after Omni-RES)', 'box-refiner_tiny_m{}-teacher_refshapes.py'
    ),
    Method(BOXES, '+ projection and colour (BoxInst)', 'box-refiner_tiny_m{}_refshapes.py'),
    Method('ours', '+ BoxInst, then RPP (ours)', _RETRAIN, (1, 5, 10), ('rpp',), BOXES),
)
"""In the order of the table."""


class RivalStudy(PartialStudy):
    """Commands and files of all methods with one seed: :class:`PartialStudy`'s, of :data:`BOX_REFINER`."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, network=BOX_REFINER, **kwargs)

    def stages(self, shares: Sequence[int] = SHARES, names: Sequence[str] | None = None) -> Iterator[Stage]:
        """The ceiling, then every method for every share of masks.

        Args:
            shares: Percent of masks.
            names: Of the methods; all by default. Whose pseudo masks one of them needs is trained, too.
        """
        yield from self._trained(CEILING, BOX_REFINER.config(CEILING), self.full_annotations)
        for share in shares:
            wanted = [m for m in METHODS if share in m.shares and (names is None or m.name in names)]
            needed = {method.teacher(share) for method in wanted}
            first = [m for m in METHODS if m.name in needed]
            for method in first:
                yield from self._method(method, share)
                yield self._pseudo(folder_of(method, share), share)
            for method in wanted:
                if method not in first:
                    yield from self._method(method, share)

    def _method(self, method: Method, share: int) -> Iterator[Stage]:
        name, annotations = folder_of(method, share), self.sample(share)
        teacher = method.teacher(share)
        if teacher is not None:
            source = f'm{share:02d}_{teacher}'
            annotations = self.folder / 'annotations' / f'{name}.json'
            yield self._select(source, share, method, annotations)
        config = shipped(f'configs/extended/{method.config.format(f"{share:02d}")}')
        yield from self._trained(name, config, annotations)

    def _trained(self, name: str, config: Path, annotations: Path) -> Iterator[Stage]:
        """Train and test: val decides, the study's split is reported."""
        work_dir = self.work_dir(name)
        yield self.train(config, work_dir, name, self.rec_checkpoint, annotations)
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


def write_rivals(studies: Sequence[RivalStudy], folder: Path) -> str:
    """Write ``rivals.json``, ``.md`` and ``.png`` of the seeds that are done; returns the table."""
    rows = [row for share, method in _cells() if (row := _row(studies, share, method))]
    dump_json({'rows': rows}, folder / 'rivals.json', indent=2)
    text = rivals_table(rows)
    with atomic_write(folder / 'rivals.md') as file:
        file.write(text)
    plot_rivals(rows, studies[0].split, folder / 'rivals.png')
    return text


def _cells() -> Iterator[tuple[int, Method | None]]:
    """Share and method of each row; the ceiling first."""
    yield 100, None
    for share in SHARES:
        for method in METHODS:
            if share in method.shares:
                yield share, method


def _row(studies: Sequence[RivalStudy], share: int, method: Method | None) -> dict | None:
    name = CEILING if method is None else folder_of(method, share)
    splits = dict.fromkeys((CHOOSING_SPLIT, studies[0].split))
    done = [s for s in studies if all(s.scores(name, 'mask', split).exists() for split in splits)]
    if not done:
        return None
    row = {'masks': share, 'method': method.name if method else CEILING, 'seeds': [s.seed for s in done]}
    for split in splits:
        found = [load_json(study.scores(name, 'mask', split)) for study in done]
        row[split] = {key: spread([each[key] for each in found]) for key in KEYS}
    return row


def rivals_table(rows: Sequence[Mapping]) -> str:
    """Markdown: mIoU and P@0.9 of each split, and the share of the ceiling's on the last one.

    Args:
        rows: As ``rivals.json`` has them. Shares are of the seeds that both a row and the ceiling have.
    """
    if not rows:
        return 'nothing is done yet\n'
    labels = {CEILING: 'all masks (ceiling)'} | {method.name: method.label for method in METHODS}
    splits = [key for key in rows[0] if isinstance(rows[0][key], dict)]
    names = [f'{split} {name}' for split in splits for name in ('mIoU', 'P@0.9')]
    lines = [
        f'| masks | trained on | {" | ".join(names)} | of the ceiling, mIoU / P@0.9 | seeds |',
        '|---' * (4 + len(names)) + '|',
    ]
    ceiling = next((row for row in rows if row['method'] == CEILING), None)
    for row in rows:
        cells = [mean_and_spread(row[split][key]) for split in splits for key in KEYS]
        lines.append(
            f'| {row["masks"]} % | {labels[row["method"]]} | {" | ".join(cells)} '
            f'| {_shares(row, ceiling, splits[-1])} | {len(row["seeds"])} |'
        )
    return '\n'.join(lines) + '\n'


def _shares(row: Mapping, ceiling: Mapping | None, split: str) -> str:
    """``97 / 85``: percent of the ceiling's mIoU and P@0.9, over the seeds of both."""
    if ceiling is None or row is ceiling:
        return '-'
    seeds = [seed for seed in row['seeds'] if seed in ceiling['seeds']]
    if not seeds:
        return '-'
    parts = []
    for key in KEYS:
        own, best = (
            statistics.fmean(
                dict(zip(each['seeds'], each[split][key]['values'], strict=True))[s] for s in seeds
            )
            for each in (row, ceiling)
        )
        parts.append(f'{100 * own / best:.0f}' if best else '-')
    return ' / '.join(parts)


def plot_rivals(rows: Sequence[Mapping], split: str, path: Path) -> None:
    """mIoU and P@0.9 of a split over the share of masks, a line per method, the ceiling dashed.

    Args:
        rows: As ``rivals.json`` has them.
        split: Of which.
        path: The PNG to write.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(KEYS), figsize=(10.5, 5.2), layout='constrained')
    for axis, key, name in zip(axes, KEYS, ('mIoU', 'P@0.9'), strict=True):
        for place, (method, (color, marker)) in enumerate(zip(METHODS, _LOOKS, strict=True)):
            own = [row for row in rows if row['method'] == method.name]
            if own:
                # a little aside: marks that overlap stay apart
                x = [SHARES.index(row['masks']) + 0.05 * (place - len(METHODS) / 2) for row in own]
                y = [row[split][key]['mean'] for row in own]
                error = [row[split][key]['std'] or 0 for row in own]
                width = 2.2 if method.name == 'ours' else 1.1
                axis.errorbar(
                    x, y, error, marker=marker, color=color, linewidth=width, capsize=3, label=method.label
                )
        for row in rows:
            if row['method'] == CEILING:
                label = 'all masks (ceiling)'
                axis.axhline(row[split][key]['mean'], color='#222222', linestyle='--', label=label)
        axis.set_xticks(range(len(SHARES)), [f'{share} %' for share in SHARES])
        axis.set_xlabel('share of objects with a mask')
        axis.set_ylabel(f'{name} (%), RefShapes {split}')
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside upper center', ncols=3, frameon=False)
    with atomic_write(path, 'wb') as file:
        figure.savefig(file, format='png', dpi=130)
    plt.close(figure)


_LOOKS = (
    ('#888888', 'o'),
    ('#b07aa1', 's'),
    ('#59a14f', 'D'),
    ('#2a78c2', '^'),
    ('#c9a400', 'v'),
    ('#009a80', 'P'),
    ('#e06c00', 'o'),
)
"""Colour and mark of each of :data:`METHODS`."""
