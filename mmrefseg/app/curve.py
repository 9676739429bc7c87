"""A training's losses as a chart that any browser draws: SVG, without a script."""

from markupsafe import escape

from .training import Curve, Progress

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 560, 220, 54, 30, 14
COLORS = {'boxes and sentences': '#2a78c2', 'masks in the boxes': '#e06c00'}
TITLES = {
    'running': 'Training',
    'done': 'Done',
    'stopped': 'Stopped',
    'failed': 'Failed',
}
NEXT = 'Try, Label and Review use this network now: see on Review which masks it draws for the other objects.'
SCORES = {
    'miou': 'mean IoU',
    'oiou': 'overall IoU',
    'acc50': 'boxes with IoU ≥ 0.5',
    'box_miou': 'mean IoU of boxes',
}
"""What scores on val are called; others go by their own names."""


def draw_curve(title: str, curve: Curve, color: str) -> str:
    """One curve of (step, loss) as an SVG element; '' if there are fewer than two points."""
    if len(curve) < 2:
        return ''
    steps, losses = [point[0] for point in curve], [point[1] for point in curve]
    low, high = min(losses), max(losses)
    high = high if high > low else low + 1
    first, last = steps[0], steps[-1] if steps[-1] > steps[0] else steps[0] + 1
    across, down = WIDTH - LEFT - 12, HEIGHT - TOP - BOTTOM
    right, up = across / (last - first), down / (high - low)
    points = ' '.join(
        f'{LEFT + (step - first) * right:.1f},{TOP + (high - loss) * up:.1f}' for step, loss in curve
    )
    lines = ''.join(
        f'<line x1="{LEFT}" x2="{WIDTH - 12}" y1="{TOP + share * down:.0f}" y2="{TOP + share * down:.0f}" '
        f'class="grid"/><text x="{LEFT - 8}" y="{TOP + share * down + 4:.0f}" text-anchor="end">'
        f'{high - share * (high - low):.3g}</text>'
        for share in (0, 0.5, 1)
    )
    foot = HEIGHT - 8
    return (
        f'<figure class="curve"><figcaption>{escape(title)}: loss {losses[-1]:.3g}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="loss of {escape(title)}">{lines}'
        f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2.5"/>'
        f'<text x="{LEFT}" y="{foot}">step {first:.0f}</text>'
        f'<text x="{WIDTH - 12}" y="{foot}" text-anchor="end">step {last:.0f}</text></svg></figure>'
    )


def draw_progress(progress: Progress | None, folder: str = '') -> str:
    """The state of a training as HTML: bars, curves, scores."""
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
    curves = ''.join(
        draw_curve(name, curve, COLORS.get(name, '#555')) for name, curve in progress.losses.items()
    )
    return (
        f'<div class="job {progress.state}" data-state="{progress.state}"><h3><i class="dot"></i>'
        f'{title}{time}</h3><p class="faint">{escape(folder)}</p>'
        + (f'<p class="wrong">{escape(progress.error)}</p>' if progress.error else '')
        + (f'<div class="tiles">{tiles}</div>' if tiles else '')
        + (f'<p>{NEXT}</p>' if progress.state == 'done' else '')
        + f'<div class="bars">{bars}</div><div class="curves">{curves}</div></div>'
    )
