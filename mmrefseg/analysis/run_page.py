"""One HTML page of a training: curves, metrics, pictures, config, environment, disk."""

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..utils.places import VAL_FOLDER
from ..utils.sizes import folder_size, size_text
from ..visualization.pages import data_uri, render
from .plots import BLUE, GREY, INK, ORANGE, as_png, open_pyplot, tidy
from .run_log import NOT_CURVES, Run, describe_state, page_mark, progress

COLORS = (BLUE, ORANGE, '#1b9e77', '#b0368f', '#8c6d1f', '#5a5fc0', '#c0392b', '#4d7c8a')
MOST_LINES = 8
MOST_TIMES = 8
"""Validations whose pictures are shown."""
MOST_ROWS = 100
"""Validations in the table."""
WIDE_RANGE = 30
"""A loss that falls by such a factor is drawn on a logarithmic axis."""


def render_run(run: Run, now: float | None = None) -> str:
    """The page of a run.

    Args:
        run: What was read of it.
        now: Seconds since 1970; by default those of the clock.

    Returns:
        HTML that needs nothing else.
    """
    now = time.time() if now is None else now
    state, sentence = describe_state(run, now)
    return render(
        __package__,
        'run.html',
        mark=page_mark(run),
        title=run.folder.resolve().name,
        folder=str(run.folder),
        made=time.strftime('%Y-%m-%d %H:%M', time.localtime(now)),
        state=state,
        sentence=sentence.removeprefix(f'{state} ').removeprefix('failed: '),
        tiles=tiles(run),
        plots=[(name, data_uri(content, 'png')) for name, content in plots(run)],
        sessions=[_session_row(session) for session in run.sessions],
        table=metric_table(run),
        pictures=picture_rows(run),
        picture_note=_picture_note(run),
        warnings=run.last.warnings,
        facts=run.last.facts,
        config=run.last.config,
        checkpoints=[
            (' = '.join(file.names[::-1]), size_text(file.size), _moment(file.time))
            for file in run.checkpoints
        ],
        disk=disk_rows(run),
    )


def tiles(run: Run) -> list[tuple[str, str]]:
    """What is looked for first: (value, what it is)."""
    found = [(progress(run).removeprefix('epoch ').removeprefix('step '), progress(run).split()[0])]
    losses = [row['loss'] for row in run.train if 'loss' in row]
    if losses:
        found.append((f'{losses[-1]:.4g}', 'loss now'))
    for name in main_metrics(run):
        values = [(row[name], row['step']) for row in run.val if name in row]
        best, step = max(values)
        found.append((f'{best:.4g}', f'best {name}, at step {step:.0f}'))
    speeds = [row['time'] for row in run.train[-20:] if 'time' in row]
    if speeds:
        found.append((f'{sum(speeds) / len(speeds):.3g} s', 'a step'))
    return [*found, (size_text(run.size), 'on disk')]


def main_metrics(run: Run) -> list[str]:
    """At most two, the one that the best checkpoint is chosen by first."""
    names = metric_names(run)
    chosen = re.search(r"\bsave_best=\[?'([^']+)'", run.last.config)
    first = [name for name in names if chosen and name == chosen[1]]
    liked = [name for name in names if name.rsplit('/', 1)[-1] in ('oiou', 'miou', 'acc50', 'segm_mAP')]
    return list(dict.fromkeys([*first, *liked]))[:2]


def metric_names(run: Run) -> list[str]:
    """Of all validations, in the order of the log."""
    return list(dict.fromkeys(name for row in run.val for name in row if name not in NOT_CURVES))


def plots(run: Run) -> list[tuple[str, bytes]]:
    """Title and PNG file of each plot: losses, metrics by their prefix, learning rate, and the rest."""
    names = list(dict.fromkeys(name for row in run.train for name in row if name not in NOT_CURVES))
    losses = sorted((name for name in names if 'loss' in name), key=lambda name: name != 'loss')
    groups = [('loss', run.train, losses)]
    prefixes = dict.fromkeys(name.rpartition('/')[0] for name in metric_names(run))
    for prefix in prefixes:
        members = [name for name in metric_names(run) if name.rpartition('/')[0] == prefix]
        groups.append((f'validation: {prefix}' if prefix else 'validation', run.val, members))
    groups.append(('learning rate', run.train, [name for name in names if name == 'lr']))
    rest = [name for name in names if name != 'lr' and name not in losses]
    groups += [(name, run.train, [name]) for name in rest[:4]]
    drawn = []
    for title, rows, members in groups:
        curves = {name: [(row['step'], row[name]) for row in rows if name in row] for name in members}
        if any(curves.values()):
            drawn.append((title, plot_curves(title, curves, run.starts)))
    return drawn


def plot_curves(
    title: str, curves: Mapping[str, Sequence[tuple[float, float]]], marks: Sequence[float] = ()
) -> bytes:
    """Lines over steps, the first one strong.

    Args:
        title: Above the plot.
        curves: Name -> (step, value) in order; at most :data:`MOST_LINES` are drawn.
        marks: Steps at which the run was resumed.

    Returns:
        A PNG file.
    """
    figure, axes = open_pyplot().subplots(figsize=(6.2, 3.6), layout='constrained')
    shown = [(name, points) for name, points in curves.items() if points][:MOST_LINES]
    for index, (name, points) in enumerate(shown):
        dots = 'o' if len(points) <= 30 else None
        axes.plot(
            *zip(*points, strict=True), color=COLORS[index], linewidth=1.2 if index else 2.2, marker=dots,
            markersize=3, label=name.rsplit('/', 1)[-1], zorder=3 if index == 0 else 2,
        )  # fmt: skip
    values = [value for _, points in shown for _, value in points]
    if 'loss' in title and min(values) > 0 and max(values) > WIDE_RANGE * min(values):
        axes.set_yscale('log')
    for mark in marks:
        axes.axvline(mark, color=GREY, linestyle=':', linewidth=1.2)
    axes.set_xlabel('step' + (' (dotted: resumed)' if marks else ''), color=INK)
    axes.set_title(title, loc='left', color=INK, fontsize=11, parse_math=False)
    axes.tick_params(colors=INK, labelsize=9)
    if len(shown) > 1:
        figure.legend(loc='outside lower center', frameon=False, fontsize=9, ncols=min(len(shown), 4))
    tidy(axes)
    return as_png(figure)


def metric_table(run: Run) -> dict[str, Any] | None:
    """``names`` and ``rows`` of (step, epoch, [(text, is the best)]); None where nothing was validated."""
    names = metric_names(run)
    if not names:
        return None
    lower = {name for name in names if 'loss' in name}
    best = {}
    for name in names:
        values = [row[name] for row in run.val if name in row]
        best[name] = (min(values) if name in lower else max(values)) if len(set(values)) > 1 else None
    steps = run.last.epoch_steps
    rows = []
    for row in run.val[-MOST_ROWS:]:
        cells = [(f'{row[name]:.2f}' if name in row else '', row.get(name) == best[name]) for name in names]
        rows.append((f'{row["step"]:.0f}', f'{row["step"] / steps:.3g}' if steps else '', cells))
    return {'names': names, 'rows': rows, 'left_out': len(run.val) - len(rows)}


def shown_times(run: Run) -> list[int]:
    """Iterations whose pictures are shown: the first, the last and some between."""
    times = sorted({step for found in run.pictures.values() for step in found})
    if len(times) <= MOST_TIMES:
        return times
    return [times[round(n * (len(times) - 1) / (MOST_TIMES - 1))] for n in range(MOST_TIMES)]


def picture_rows(run: Run) -> list[list[tuple[str, str]]]:
    """For each sample its pictures over time: (caption, address)."""
    rows = []
    for _, found in sorted(run.pictures.items()):
        row = [(f'step {step}', _picture(found[step])) for step in shown_times(run) if step in found]
        row = [(caption, address) for caption, address in row if address]
        if row:
            rows.append(row)
    return rows


def _picture(path: Path) -> str:
    """A JPEG as an address; '' for another file, or one that has gone."""
    try:
        content = path.read_bytes()
    except OSError:
        return ''
    return data_uri(content, 'jpeg') if content.startswith(b'\xff\xd8') else ''


def _picture_note(run: Run) -> str:
    times = {step for found in run.pictures.values() for step in found}
    size = sum(folder_size(session.folder / VAL_FOLDER) for session in run.sessions)
    shown = len(shown_times(run))
    some = f'{shown} of the {len(times)} validations are shown. ' if shown < len(times) else ''
    return (
        f'{some}All pictures use {size_text(size)}; default_hooks.visualization.val_images says how many are '
        'kept at each validation, and 0 keeps none.'
    )


def disk_rows(run: Run) -> list[tuple[str, str]]:
    """(What, size) of checkpoints, pictures and all else."""
    checkpoints = sum(file.size for file in run.checkpoints)
    pictures = sum(folder_size(session.folder / VAL_FOLDER) for session in run.sessions)
    rows = [('checkpoints', checkpoints), ('validation images', pictures)]
    rows.append(('logs and all else', max(run.size - checkpoints - pictures, 0)))
    return [(name, size_text(size)) for name, size in [*rows, ('together', run.size)]]


def _session_row(session) -> tuple[str, str, str, str]:
    """Start, what it was, steps, end."""
    stamp = session.name
    start = f'{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]} {stamp[9:11]}:{stamp[11:13]}:{stamp[13:15]}'
    if session.tested:
        said = ', '.join(f'{name} {value:.2f}' for name, value in session.tested.items())
        return start, 'test', '', said
    steps = [row['step'] for row in [*session.train, *session.val]]
    covered = f'{min(steps):.0f} to {max(steps):.0f}' if steps else 'none logged'
    return start, 'training', covered, session.ended or f'last line {_moment(session.written)}'


def _moment(seconds: float) -> str:
    return time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(seconds))
