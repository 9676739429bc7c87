"""Plots of the IoUs of groups: counts, histograms, kernel density estimates."""

import io
from collections.abc import Sequence

import numpy as np

from ..evaluation.functional.scores import Reliability
from .groups import Grouping

MOST_BINS = 50


def histogram(values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """A density histogram with as many bins as the values suggest (Freedman-Diaconis, at most 50).

    Args:
        values: At least one.

    Returns:
        Densities (B,), which integrate to 1, and edges (B + 1,) from the least to the largest value.
    """
    values = np.asarray(values, np.float64)
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.05, high + 0.05
    quarter, three = np.percentile(values, [25, 75])
    width = 2 * (three - quarter) / len(values) ** (1 / 3)
    bins = round((high - low) / width) if width > 0 else round(len(values) ** 0.5)
    return np.histogram(values, bins=int(np.clip(bins, 1, MOST_BINS)), range=(low, high), density=True)


def density(values: Sequence[float], points: int = 200) -> tuple[np.ndarray, np.ndarray] | None:
    """A Gaussian kernel density estimate (Scott's bandwidth).

    Args:
        values: Numbers, for instance IoUs.
        points: Where to evaluate: so many places, from three bandwidths below the least value to three above
            the largest.

    Returns:
        Places (P,) and densities (P,), or None where it is not defined (fewer than two different values).
    """
    from scipy.stats import gaussian_kde  # a second that a tool's --help does without

    values = np.asarray(values, np.float64)
    if len(np.unique(values)) < 2:
        return None
    kernel = gaussian_kde(values)
    reach = 3 * float(np.sqrt(kernel.covariance[0, 0]))
    places = np.linspace(values.min() - reach, values.max() + reach, points)
    return places, kernel(places)


BLUE, ORANGE, GREY, INK = '#2a78c2', '#e06c00', '#8a8f98', '#24292f'
MOST_BARS = 20
LONGEST_LABEL = 40


def open_pyplot():
    """matplotlib's pyplot, without a window."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    return pyplot


def as_png(figure, dpi: int = 110) -> bytes:
    """A figure as a PNG file of so many dots an inch; it is closed."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=dpi)
    open_pyplot().close(figure)
    return buffer.getvalue()


def tidy(axes) -> None:
    """Axes with two edges, and faint lines behind what is drawn."""
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(axis='y', alpha=0.25)
    axes.set_axisbelow(True)


def plot_density(ious: Sequence[float], title: str, threshold: float | None = None) -> bytes:
    """Histogram and kernel density estimate of IoUs.

    Args:
        ious: In [0, 1], at least one.
        title: Above the plot.
        threshold: Marked by a line, where given.

    Returns:
        A PNG file.
    """
    figure, axes = open_pyplot().subplots(figsize=(6.2, 3.4), layout='constrained')
    heights, edges = histogram(ious)
    axes.stairs(heights, edges, fill=True, color=BLUE, alpha=0.35, label=f'{len(ious)} cases')
    curve = density(ious)
    if curve is not None:
        axes.plot(*curve, color=BLUE, linewidth=2, label='kernel density')
    if threshold is not None:
        axes.axvline(threshold, color=ORANGE, linestyle='--', label=f'threshold {threshold:g}')
    axes.set_xlim(-0.15, 1.15)
    axes.set_xlabel('IoU')
    axes.set_ylabel('density')
    axes.set_title(title, loc='left', color=INK, fontsize=11, parse_math=False)
    axes.legend(frameon=False, fontsize=8)
    tidy(axes)
    return as_png(figure)


def plot_cumulative(ious: Sequence[float]) -> bytes:
    """For each threshold, the share of cases that reach it: P@0.5 and its neighbours as one curve."""
    figure, axes = open_pyplot().subplots(figsize=(6.2, 3.4), layout='constrained')
    ordered = sorted(ious)
    shares = [100 * (len(ordered) - index) / len(ordered) for index in range(len(ordered))]
    axes.step([0, *ordered, 1], [100, *shares, 0], where='pre', color=BLUE, linewidth=2)
    for threshold in (0.5, 0.7, 0.9):
        reached = 100 * sum(iou >= threshold for iou in ious) / len(ious)
        axes.plot(threshold, reached, 'o', color=ORANGE)
        axes.annotate(
            f'P@{threshold} = {reached:.1f}', (threshold, reached), (-4, 8), textcoords='offset points',
            ha='right' if reached < 40 else 'left', fontsize=8, color=INK,
        )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 105)
    axes.set_xlabel('IoU threshold')
    axes.set_ylabel('cases that reach it (%)')
    axes.set_title('how many are good enough', loc='left', color=INK, fontsize=11)
    tidy(axes)
    return as_png(figure)


def plot_reliability(found: Reliability, title: str) -> bytes:
    """Mean IoU of masks by their score, beside the diagonal on which it would lie, and how many there are.

    Args:
        found: With at least one mask.
        title: Above the plot.

    Returns:
        A PNG file.
    """
    figure, (axes, below) = open_pyplot().subplots(
        2, figsize=(4.6, 4.8), sharex=True, height_ratios=(3, 1), layout='constrained'
    )
    width = 1 / len(found.counts)
    middles = (np.arange(len(found.counts)) + 0.5) * width
    axes.bar(middles, np.nan_to_num(found.ious), 0.92 * width, color=BLUE, alpha=0.35, label='mean IoU')
    axes.plot(found.scores, found.ious, 'o-', color=BLUE, markersize=4)
    axes.plot([0, 1], [0, 1], '--', color=ORANGE, linewidth=1.2, label='the score itself')
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_ylabel('IoU')
    axes.set_title(f'{title}: ECE {found.error:.3f}', loc='left', color=INK, fontsize=11, parse_math=False)
    axes.legend(frameon=False, fontsize=8, loc='upper left')
    below.bar(middles, 100 * found.counts / found.counts.sum(), 0.92 * width, color=GREY)
    below.set_xlabel('score')
    below.set_ylabel('share (%)')
    for each in (axes, below):
        tidy(each)
    return as_png(figure)


def shortened(label: str) -> str:
    """A name for a plot: on one line, of at most 40 letters, which its font may lack."""
    line = ' '.join(label.split())
    return line if len(line) <= LONGEST_LABEL else f'{line[: LONGEST_LABEL - 3]}...'


def plot_grouping(grouping: Grouping, overall_miou: float) -> bytes:
    """Mean IoU of each group with its 95 % interval, and the share that fails.

    Args:
        grouping: With at least one group; at most 20 are shown.
        overall_miou: Of all cases, percent; drawn as a line.

    Returns:
        A PNG file.
    """
    groups = grouping.groups[:MOST_BARS]
    figure, axes = open_pyplot().subplots(figsize=(6.2, 1.2 + 0.34 * len(groups)), layout='constrained')
    places = range(len(groups))
    axes.barh(
        [place - 0.19 for place in places], [group.miou for group in groups], 0.36, color=BLUE,
        xerr=[0 if group.error != group.error else group.error for group in groups],
        error_kw={'ecolor': INK, 'elinewidth': 1, 'alpha': 0.7}, label='mIoU',
    )  # fmt: skip
    axes.barh(
        [place + 0.19 for place in places], [group.failure_rate for group in groups], 0.36, color=ORANGE,
        label='fails',
    )  # fmt: skip
    axes.axvline(overall_miou, color=GREY, linestyle='--', linewidth=1, label='mIoU of all')
    labels = [f'{shortened(group.label)}  (n={group.count})' for group in groups]
    axes.set_yticks(list(places), labels, fontsize=8, parse_math=False)  # a $ in a name is no formula
    axes.invert_yaxis()
    axes.set_xlim(0, 105)
    axes.set_xlabel('%')
    axes.set_title(f'by {grouping.title}', loc='left', color=INK, fontsize=11, parse_math=False)
    figure.legend(loc='outside lower center', frameon=False, fontsize=8, ncols=3)
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(axis='x', alpha=0.25)
    axes.set_axisbelow(True)
    return as_png(figure)
