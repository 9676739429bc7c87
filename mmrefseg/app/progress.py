"""What the page Train says of a training."""

from markupsafe import escape

from ..experiments.own_folder import SCORES
from .training import Progress

TITLES = {
    'running': 'Training',
    'done': 'Done',
    'stopped': 'Stopped',
    'failed': 'Failed',
}
NEXT = 'Try, Label and Review use this network now: see on Review which masks it draws for the other objects.'


def draw_progress(progress: Progress | None, folder: str = '') -> str:
    """The state of a training as HTML: bars, scores, what is wrong."""
    if progress is None:
        return '<p class="faint">No training yet. Draw some masks on the page Label, then start one.</p>'
    minutes, seconds = divmod(int(progress.seconds), 60)
    time = f' · {minutes}:{seconds:02d} min' if progress.seconds else ''
    title = TITLES[progress.state]
    if progress.state == 'running' and not progress.share:
        title = 'Starting: the first steps come after half a minute'
    bars = ''.join(
        f'<div class="bar"><span>{escape(name)}</span><i><b style="width:{100 * share:.1f}%"></b></i>'
        f'<em>{100 * share:.0f} %</em></div>'
        for name, share in progress.stages
    )
    tiles = ''.join(
        f'<div class="tile"><b>{value:.1f} %</b><span>{escape(SCORES.get(name, name))}</span></div>'
        for name, value in progress.scores.items()
        if name in SCORES
    )
    return (
        f'<div class="job {progress.state}" data-state="{progress.state}"><h3><i class="dot"></i>'
        f'{title}{time}</h3><p class="faint">{escape(folder)}</p>'
        + (f'<p class="wrong">{escape(progress.error)}</p>' if progress.error else '')
        + (f'<div class="tiles">{tiles}</div>' if tiles else '')
        + (f'<p>{NEXT}</p>' if progress.state == 'done' else '')
        + f'<div class="bars">{bars}</div></div>'
    )
