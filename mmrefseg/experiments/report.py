"""Tables, json and pictures of a study."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from ..utils import atomic_write, dump_json, load_json
from .study import PartialStudy, Variant

KEYS = ('miou', 'oiou', 'p50', 'p90')


def scores(study: PartialStudy, variant: Variant) -> dict[str, float]:
    """mIoU, oIoU, P@0.5 and P@0.9 of a variant, in percent."""
    found = load_json(study.scores(variant.name))
    return {key: round(found[key], 2) for key in KEYS}


def demo_summary(study: PartialStudy, ratio: int, seconds: float) -> dict:
    """What ``make demo`` leaves in ``summary.json``.

    Args:
        study: The finished study.
        ratio: Percent of masks.
        seconds: What all stages took.
    """
    report = load_json(study.report(Variant(ratio, 'rpp')))
    return {
        'few_masks': scores(study, Variant(ratio)),
        'rpp': scores(study, Variant(ratio, 'rpp')),
        'rec_acc50': round(load_json(study.scores('rec'))['acc50'], 2),
        'accept_rate': round(report['accept_rate'], 2),
        'pseudo_miou': round(report['truth']['accepted'].get('miou', 0.0), 2),
        'seconds': round(seconds, 1),
        'seed': study.seed,
    }


def demo_table(summary: Mapping, ratio: int, split: str) -> Table:
    """The demo's result for a terminal."""
    table = Table(title=f'RefShapes {split}: masks learned from {ratio} % of the masks and all boxes')
    table.add_column('trained on')
    for name in ('mIoU', 'oIoU', 'P@0.5', 'P@0.9'):
        table.add_column(name, justify='right')
    for label, key in ((f'{ratio} % of the masks', 'few_masks'), (f'{ratio} % + RPP', 'rpp')):
        table.add_row(label, *(f'{summary[key][name]:.1f}' for name in KEYS))
    table.caption = (
        f'boxes only (REC): Acc@0.5 {summary["rec_acc50"]:.1f}; accepted pseudo masks: '
        f'{summary["accept_rate"]:.1f} %, their mIoU with the withheld masks {summary["pseudo_miou"]:.1f}; '
        f'{summary["seconds"] / 60:.1f} minutes; seed {summary["seed"]}; per sentence, original frame'
    )
    return table


def collect(studies: Sequence[PartialStudy], variants: Sequence[Variant]) -> dict:
    """Mean and spread of every variant over the seeds that are done."""
    table = {}
    for variant in variants:
        done = [study for study in studies if study.scores(variant.name).exists()]
        rows = [scores(study, variant) for study in done]
        if rows:
            table[variant.name] = {
                'ratio': variant.ratio,
                'selection': variant.selection,
                'seeds': [study.seed for study in done],
                **{key: _spread([row[key] for row in rows]) for key in KEYS},
            }
    rec = [load_json(study.scores('rec'))['acc50'] for study in studies if study.scores('rec').exists()]
    return {'rec_acc50': _spread(rec) if rec else None, 'variants': table}


def _spread(values: Sequence[float]) -> dict[str, float | list[float] | None]:
    """Mean, sample standard deviation (``None`` for one value) and the values."""
    return {
        'mean': round(statistics.fmean(values), 2),
        'std': round(statistics.stdev(values), 2) if len(values) > 1 else None,
        'values': [round(value, 2) for value in values],
    }


def write_experiment_report(
    studies: Sequence[PartialStudy], variants: Sequence[Variant], folder: Path
) -> dict:
    """Write ``summary.json``, ``table.md`` and ``miou.png`` into a folder.

    Returns:
        The summary.
    """
    summary = collect(studies, variants)
    dump_json(summary, folder / 'summary.json', indent=2)
    with atomic_write(folder / 'table.md') as file:
        file.write(markdown_table(summary))
    plot(summary, folder / 'miou.png')
    return summary


LABELS = {'masks_only': 'masks only', 'unselected': '+ all pseudo masks', 'rpp': '+ RPP'}


def markdown_table(summary: Mapping) -> str:
    """The paper's table in small: one row per share of masks and selection."""
    lines = ['| masks | trained on | mIoU | oIoU | P@0.5 | P@0.9 | seeds |', '|---|---|---|---|---|---|---|']
    for row in summary['variants'].values():
        cells = [_mean_and_spread(row[key]) for key in KEYS]
        label = 'all masks (ceiling)' if row['ratio'] == 100 else LABELS[row['selection']]
        lines.append(f'| {row["ratio"]} % | {label} | {" | ".join(cells)} | {len(row["seeds"])} |')
    rec = summary['rec_acc50']
    if rec:
        lines += ['', f'REC Acc@0.5 of the boxes-only network: {_mean_and_spread(rec)}.']
    return '\n'.join(lines) + '\n'


def _mean_and_spread(number: Mapping) -> str:
    mean, std = f'{number["mean"]:.1f}', number['std']
    return mean if std is None else f'{mean} ± {std:.1f}'


def plot(summary: Mapping, path: Path) -> None:
    """mIoU over the share of masks, the ceiling as a line."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 4.2), layout='constrained')
    rows = summary['variants'].values()
    looks = zip(LABELS.items(), ('#666666', '#2a78c2', '#e06c00'), (0.97, 1, 1.03), strict=True)
    for (selection, label), color, aside in looks:  # a little aside: spreads that overlap stay apart
        points = sorted(
            (row['ratio'] * aside, row['miou']['mean'], row['miou']['std'] or 0)
            for row in rows
            if row['selection'] == selection and row['ratio'] < 100
        )
        if points:
            x, y, spread = zip(*points, strict=True)
            axes.errorbar(x, y, spread, marker='o', capsize=3, color=color, label=label)
    for row in rows:
        if row['ratio'] == 100:
            axes.axhline(row['miou']['mean'], color='#009a80', linestyle='--', label='all masks (ceiling)')
    axes.set_xscale('log')
    axes.set_xticks([1, 5, 10], ['1 %', '5 %', '10 %'])
    axes.set_xlabel('share of objects with a mask')
    axes.set_ylabel('mIoU (%), RefShapes testA')
    axes.grid(alpha=0.3)
    figure.legend(loc='outside upper center', ncols=4, frameon=False, fontsize='small')
    with atomic_write(path, 'wb') as file:
        figure.savefig(file, format='png', dpi=150)
    plt.close(figure)
