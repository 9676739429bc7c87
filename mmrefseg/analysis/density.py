"""Histograms and kernel density estimates of IoUs."""

from collections.abc import Sequence

import numpy as np

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
