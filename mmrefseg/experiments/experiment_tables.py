"""Tables, json and plots of a study."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.table import Table

from ..analysis.plots import as_png, open_pyplot
from ..utils import atomic_write, dump_json, load_json
from .few_masks import CHOOSING_SPLIT, NETWORKS, READOUTS, PartialStudy, Variant

KEYS = ('miou', 'oiou', 'p50', 'p90')
LABELS = {'masks_only': 'masks only', 'unselected': '+ all pseudo masks', 'rpp': '+ RPP'}


def scores(study: PartialStudy, variant: Variant, readout: str) -> dict[str, float]:
    """mIoU, oIoU, P@0.5 and P@0.9 of a variant by a readout, in percent."""
    found = load_json(study.scores(variant.name, readout))
    return {key: round(found[key], 2) for key in KEYS}


def demo_summary(study: PartialStudy, ratio: int, seconds: float) -> dict:
    """What ``make demo`` leaves in ``summary.json``.

    Args:
        study: The finished study.
        ratio: Percent of masks.
        seconds: What all stages took.
    """
    report = load_json(study.report(Variant(ratio, 'rpp')))

    def by_readout(variant: Variant) -> dict[str, dict[str, float]]:
        return {readout: scores(study, variant, readout) for readout in study.network.readouts}

    few_masks, rpp = by_readout(Variant(ratio)), by_readout(Variant(ratio, 'rpp'))
    best = {
        'few_masks': study.network.best_readout('masks_only'),
        'rpp': study.network.best_readout('rpp'),
    }
    gain = rpp[best['rpp']]['miou'] - few_masks[best['few_masks']]['miou']
    return {
        'network': study.network.name,
        'start': study.rec_checkpoint,
        'split': study.split,
        'few_masks': few_masks,
        'rpp': rpp,
        'best_readout': best,
        'gain': round(gain, 2),
        'rec_acc50': round(load_json(study.rec_scores)['acc50'], 2),
        'accept_rate': round(report['accept_rate'], 2),
        'pseudo_miou': round(report['truth']['accepted'].get('miou', 0.0), 2),
        'seconds': round(seconds, 1),
        'seed': study.seed,
    }


def demo_table(summary: Mapping, ratio: int) -> Table:
    """The demo's result for a terminal."""
    title, split = NETWORKS[summary['network']].title, summary['split']
    table = Table(title=f'{title} on RefShapes {split}: masks learned from {ratio} % of the masks, all boxes')
    table.add_column('trained on')
    table.add_column('read from')
    for name in ('mIoU', 'oIoU', 'P@0.5', 'P@0.9'):
        table.add_column(name, justify='right')
    for label, key in ((f'{ratio} % of the masks', 'few_masks'), (f'{ratio} % + RPP', 'rpp')):
        for readout, found in summary[key].items():
            table.add_row(label, readout, *(f'{found[name]:.1f}' for name in KEYS))
    best = summary['best_readout']
    few, rpp = (summary[name][readout]['miou'] for name, readout in best.items())
    table.caption = (
        f'best readout against best readout: {few:.1f} ({best["few_masks"]}) becomes {rpp:.1f} '
        f'({best["rpp"]}), {summary["gain"]:+.1f}; boxes only (REC): Acc@0.5 {summary["rec_acc50"]:.1f}; '
        f'accepted pseudo masks: {summary["accept_rate"]:.1f} %, their mIoU with the withheld masks '
        f'{summary["pseudo_miou"]:.1f}; {summary["seconds"] / 60:.1f} minutes; seed {summary["seed"]}; '
        'per sentence, original frame'
    )
    return table


def collect(studies: Sequence[PartialStudy], variants: Sequence[Variant]) -> dict:
    """Mean and spread of every variant by every readout over the seeds that are done.

    Args:
        studies: Of any networks and seeds.
        variants: In the order of the table.

    Returns:
        ``rec_acc50`` of the boxes-only networks and ``rows``, one per network, variant and readout.
    """
    rows = []
    for network in dict.fromkeys(study.network for study in studies):
        own = [study for study in studies if study.network == network]
        for variant in variants:
            for readout in network.readouts:
                done = [study for study in own if study.scores(variant.name, readout).exists()]
                if done:
                    rows.append(_row(done, variant, readout))
    rec = {study.rec_scores: study for study in studies if study.rec_scores.exists()}
    found = {path: (study.rec_checkpoint, load_json(path)['acc50']) for path, study in rec.items()}
    different = dict(found.values())  # several seeds may start from one checkpoint
    return {'rec_acc50': spread(list(different.values())) if different else None, 'rows': rows}


def _row(studies: Sequence[PartialStudy], variant: Variant, readout: str) -> dict:
    found = [scores(study, variant, readout) for study in studies]
    return {
        'network': studies[0].network.name,
        'readout': readout,
        'ratio': variant.ratio,
        'selection': variant.selection,
        'seeds': [study.seed for study in studies],
        **{key: spread([each[key] for each in found]) for key in KEYS},
        'val_miou': _val_miou(studies, variant, readout),
    }


def _val_miou(studies: Sequence[PartialStudy], variant: Variant, readout: str) -> dict | None:
    """The mIoU that chooses a readout; ``None`` where there is nothing to choose, or a seed lacks it."""
    paths = [study.scores(variant.name, readout, CHOOSING_SPLIT) for study in studies]
    if not all(path.exists() for path in paths):
        return None
    return spread([load_json(path)['miou'] for path in paths])


def spread(values: Sequence[float]) -> dict[str, float | list[float] | None]:
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


def markdown_table(summary: Mapping) -> str:
    """The paper's table in small, a row per network, share of masks and selection, and what follows from it.

    A readout that a network does not have is a dash.
    """
    shown = [readout for readout in READOUTS if any(row['readout'] == readout for row in summary['rows'])]
    names = [f'{key}, {readout}' for readout in shown for key in ('mIoU', 'P@0.9')]
    lines = [
        f'| network | masks | trained on | {" | ".join(names)} | seeds |',
        '|---' * (4 + len(names)) + '|',
    ]
    for group in _grouped(summary).values():
        row = next(iter(group.values()))
        cells = [
            mean_and_spread(group[readout][key]) if readout in group else '-'
            for readout in shown
            for key in ('miou', 'p90')
        ]
        label = 'all masks (ceiling)' if row['ratio'] == 100 else LABELS[row['selection']]
        title = NETWORKS[row['network']].title
        lines.append(f'| {title} | {row["ratio"]} % | {label} | {" | ".join(cells)} | {len(row["seeds"])} |')
    rec = summary['rec_acc50']
    if rec:
        lines += ['', f'REC Acc@0.5 of the boxes-only network: {mean_and_spread(rec)}.']
    compared = list(_comparisons(summary))
    if compared:
        lines += ['', 'Best readout against best readout, chosen on val (mIoU):', '', *compared]
    return '\n'.join(lines) + '\n'


def _grouped(summary: Mapping) -> dict[tuple, dict[str, Mapping]]:
    """Rows by (network, ratio, selection), then by readout."""
    groups: dict[tuple, dict[str, Mapping]] = {}
    for row in summary['rows']:
        groups.setdefault((row['network'], row['ratio'], row['selection']), {})[row['readout']] = row
    return groups


def _comparisons(summary: Mapping) -> Iterator[str]:
    """What pseudo masks add, each stage read by what reads it best, over the seeds that both have."""
    groups = _grouped(summary)
    for (network, ratio, selection), group in groups.items():
        if selection != 'masks_only' or ratio == 100:
            continue
        for other in ('unselected', 'rpp'):
            after = groups.get((network, ratio, other), {})
            if _undecided(group) or _undecided(after):
                continue
            seeds = set.intersection(*(set(row['seeds']) for row in (*group.values(), *after.values())))
            if not after or not seeds:
                continue
            (before, readout), (then, other_readout) = _best(group, seeds), _best(after, seeds)
            yield (
                f'- {NETWORKS[network].title}, {ratio} % of the masks: masks only {before:.1f} ({readout}), '
                f'{LABELS[other]} {then:.1f} ({other_readout}), {then - before:+.1f} '
                f'(seeds {", ".join(map(str, sorted(seeds)))})'
            )


def _undecided(group: Mapping[str, Mapping]) -> bool:
    """Whether several readouts compete and val, which chooses, has not been scored."""
    return len(group) > 1 and any(row['val_miou'] is None for row in group.values())


def _best(group: Mapping[str, Mapping], seeds: set[int]) -> tuple[float, str]:
    """The mIoU over some seeds of the readout that is best on val, and that readout."""

    def mean(readout: str, key: str) -> float:
        row = group[readout]
        values = zip(row['seeds'], row[key]['values'], strict=True)
        return statistics.fmean(value for seed, value in values if seed in seeds)

    readout = next(iter(group))
    if len(group) > 1:
        readout = max(group, key=lambda name: mean(name, 'val_miou'))
    return mean(readout, 'miou'), readout


def mean_and_spread(number: Mapping) -> str:
    """``61.0 ± 1.4`` of what :func:`collect` gives, or the one value."""
    mean, std = f'{number["mean"]:.1f}', number['std']
    return mean if std is None else f'{mean} ± {std:.1f}'


def plot(summary: Mapping, path: Path) -> None:
    """mIoU over the share of masks, the ceiling as a line; a panel per network and readout."""
    panels = list(dict.fromkeys((row['network'], row['readout']) for row in summary['rows']))
    figure, axes = open_pyplot().subplots(
        1, max(len(panels), 1), sharey=True, squeeze=False,
        figsize=(2.0 + 3.2 * max(len(panels), 1), 4.2), layout='constrained',
    )  # fmt: skip
    for panel, axis in zip(panels, axes[0], strict=False):
        rows = [row for row in summary['rows'] if (row['network'], row['readout']) == panel]
        _plot_panel(axis, rows, f'{NETWORKS[panel[0]].title}, read from the {panel[1]}')
    axes[0, 0].set_ylabel('mIoU (%), RefShapes testA')
    shown = {
        name: line for axis in axes[0] for line, name in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(shown.values(), shown.keys(), loc='outside upper center', ncols=4, frameon=False)
    with atomic_write(path, 'wb') as file:
        file.write(as_png(figure, dpi=150))


def _plot_panel(axis, rows: Sequence[Mapping], title: str) -> None:
    looks = zip(LABELS.items(), ('#666666', '#2a78c2', '#e06c00'), (0.97, 1, 1.03), strict=True)
    for (selection, label), color, aside in looks:  # a little aside: spreads that overlap stay apart
        points = sorted(
            (row['ratio'] * aside, row['miou']['mean'], row['miou']['std'] or 0)
            for row in rows
            if row['selection'] == selection and row['ratio'] < 100
        )
        if points:
            x, y, spread = zip(*points, strict=True)
            axis.errorbar(x, y, spread, marker='o', capsize=3, color=color, label=label)
    for row in rows:
        if row['ratio'] == 100:
            axis.axhline(row['miou']['mean'], color='#009a80', linestyle='--', label='all masks (ceiling)')
    axis.set_title(title, fontsize='medium')
    axis.set_xscale('log')
    axis.set_xlim(0.85, 12)
    axis.set_xticks([1, 5, 10], ['1 %', '5 %', '10 %'])
    axis.set_xlabel('share of objects with a mask')
    axis.grid(alpha=0.3)
