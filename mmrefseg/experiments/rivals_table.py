"""The rows of the rivals' table, from the numbers of finished tests: json, markdown and a plot."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..analysis.plots import as_png, open_pyplot
from ..utils import UserInputError, atomic_write, dump_json, load_json
from ..utils.errors import short
from .experiment_tables import mean_and_spread, spread
from .few_masks import CHOOSING_SPLIT
from .rivals import BY_NAME, CEILING, METHODS, RPP, SHARES, Method, RivalStudy, folder_of

KEYS = ('miou', 'p90')


def write_rivals(studies: Sequence[RivalStudy], folder: Path, earlier: Path | None = None) -> str:
    """Write ``rivals.json``, ``.md`` and ``.png`` of the seeds that are done; returns the table.

    Args:
        studies: One a seed.
        folder: Where they are written.
        earlier: A ``rivals.json`` of seeds that ran elsewhere; of a seed that both have, the study counts.
    """
    rows = [row for method, share in _cells() if (row := _row(studies, method, share))]
    if earlier is not None:
        rows = join(rows, read_rivals(earlier, studies[0]))
    dump_json({'size': studies[0].size, 'rows': rows}, folder / 'rivals.json', indent=2)
    text = rivals_table(rows)
    with atomic_write(folder / 'rivals.md') as file:
        file.write(text)
    plot_rivals(rows, studies[0].split, folder / 'rivals.png')
    return text


def _cells() -> Iterator[tuple[Method, int]]:
    """Method and share of each row; those of all masks first."""
    for share in (100, *SHARES):
        for method in METHODS:
            if share in method.shares:
                yield method, share


def _row(studies: Sequence[RivalStudy], method: Method, share: int) -> dict | None:
    found = done_seeds(studies, folder_of(method, share))
    return {'masks': share, 'method': method.name, **found} if found else None


def done_seeds(studies: Sequence[RivalStudy], name: str) -> dict | None:
    """``seeds`` that have tested a network, and mIoU and P@0.9 over them of each split; None without any.

    Args:
        studies: One a seed.
        name: The folder of the network.
    """
    splits = dict.fromkeys((CHOOSING_SPLIT, studies[0].split))
    done = [s for s in studies if all(s.scores(name, 'mask', split).exists() for split in splits)]
    if not done:
        return None
    row = {'seeds': [s.seed for s in done]}
    for split in splits:
        found = [load_json(study.scores(name, 'mask', split)) for study in done]
        row[split] = {key: spread([each[key] for each in found]) for key in KEYS}
    return row


def read_rivals(path: Path, study: RivalStudy) -> list[dict]:
    """The rows of a ``rivals.json``.

    Args:
        path: The file.
        study: Whose table they join: of the same RefShapes and splits.

    Raises:
        UserInputError: It is none, or of another size.
    """
    found = load_json(path)
    try:
        sound = all(_is_sound(row, (CHOOSING_SPLIT, study.split)) for row in found['rows'])
        rows = join((), found['rows']) if sound else []
        sound = sound and len(rows) == len(found['rows'])
    except (KeyError, TypeError, IndexError, AttributeError):  # whatever lacks in a file of another kind
        sound = False
    if not sound:
        raise UserInputError.of(
            str(path),
            'no rows of methods, shares and seeds',
            f'a rivals.json of this tool, of {CHOOSING_SPLIT} and {study.split}',
            'name it',
        )
    size = found.get('size', 'small')  # older files do not say it
    if size != study.size:
        raise UserInputError.of(
            str(path),
            f'numbers of RefShapes {short(size)}',
            f'those of {study.size!r}, as --size says',
            'leave it out, or run that size',
        )
    return rows


def _is_sound(row: Mapping, splits: Sequence[str]) -> bool:
    """Whether a row has seeds, and of each split a number for each of them, or their mean and spread."""
    for cell in (row[split][key] for split in splits for key in KEYS):
        values = cell['values']
        numbers = [cell['mean'], cell['std'] or 0.0] if values is None else values
        if not all(isinstance(number, int | float) for number in numbers):
            return False
        if values is not None and len(values) != len(row['seeds']):
            return False
    return isinstance(row['seeds'], list) and bool(row['seeds'])


def join(rows: Sequence[Mapping], earlier: Sequence[Mapping]) -> list[dict]:
    """The rows of both, in the order of the table; where both have a seed, that of ``rows``."""
    found = {}
    for row in (*rows, *earlier):
        found.setdefault((row['method'], row['masks']), []).append(row)
    cells = [(method.name, share) for method, share in _cells()]
    return [_joined(found[cell]) for cell in cells if cell in found]


def _joined(rows: Sequence[Mapping]) -> dict:
    """One row of several, of which the first to have a seed counts.

    Of a row whose ``values`` are null only mean and spread are known: it counts if no other has more seeds.
    """
    row = dict(max(rows, key=lambda each: len(each['seeds'])))
    if any(each[CHOOSING_SPLIT][key]['values'] is None for each in rows for key in KEYS):
        return row
    owner = {seed: each for each in reversed(rows) for seed in each['seeds']}
    row['seeds'] = sorted(owner)
    for split in (key for key in row if isinstance(row[key], dict)):
        row[split] = {
            key: spread([_of_seed(owner[seed], split, key, seed) for seed in row['seeds']]) for key in KEYS
        }
    return row


def _of_seed(row: Mapping, split: str, key: str, seed: int) -> float:
    """A seed's number; the mean where only that is known."""
    values = row[split][key]['values']
    return row[split][key]['mean'] if values is None else values[row['seeds'].index(seed)]


def rivals_table(rows: Sequence[Mapping]) -> str:
    """Markdown: mIoU and P@0.9 of each split, and the share of the ceiling's on the last one.

    Args:
        rows: As ``rivals.json`` has them. Shares are of the seeds that both a row and the ceiling have.
    """
    if not rows:
        return 'nothing is done yet\n'
    labels = {method.name: method.label for method in METHODS}
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
            statistics.fmean(_of_seed(each, split, key, seed) for seed in seeds) for each in (row, ceiling)
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
    figure, axes = open_pyplot().subplots(1, len(KEYS), figsize=(10.5, 5.2), layout='constrained')
    for axis, key, name in zip(axes, KEYS, ('mIoU', 'P@0.9'), strict=True):
        for place, (method, (color, marker)) in enumerate(_LOOKS.items()):
            own = [row for row in rows if row['method'] == method]
            if own:
                # a little aside: marks that overlap stay apart
                x = [SHARES.index(row['masks']) + 0.05 * (place - len(_LOOKS) / 2) for row in own]
                y = [row[split][key]['mean'] for row in own]
                error = [row[split][key]['std'] or 0 for row in own]
                width = 2.2 if method == RPP else 1.1
                axis.errorbar(
                    x,
                    y,
                    error,
                    marker=marker,
                    color=color,
                    linewidth=width,
                    capsize=3,
                    label=BY_NAME[method].label,
                )
        for row in rows:
            if row['method'] == CEILING:
                label = BY_NAME[CEILING].label
                axis.axhline(row[split][key]['mean'], color='#222222', linestyle='--', label=label)
        axis.set_xticks(range(len(SHARES)), [f'{share} %' for share in SHARES])
        axis.set_xlabel('share of objects with a mask')
        axis.set_ylabel(f'{name} (%), RefShapes {split}')
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside upper center', ncols=3, frameon=False)
    with atomic_write(path, 'wb') as file:
        file.write(as_png(figure, dpi=130))


_LOOKS = {
    'masks': ('#888888', 'o'),
    'unselected': ('#b07aa1', 's'),
    'score': ('#59a14f', 'D'),
    RPP: ('#2a78c2', '^'),
    'teacher': ('#c9a400', 'v'),
    'boxes': ('#009a80', 'P'),
    'boxes_rpp': ('#7fc8b8', 'X'),
    'rounds': ('#e06c00', 'o'),
}
"""Colour and mark of each of :data:`METHODS` that learns from few masks."""
