"""What an object can look like: the outlines of the shape classes, colours, textures and sizes.

A unit outline is a polygon with y down, centred on its bounding box, whose
longer side is 1. Curves have enough vertices to look round at 60 pixels."""

from functools import cache
from typing import NamedTuple

import numpy as np

CLASSES = ('circle', 'square', 'triangle', 'star', 'ring', 'cross', 'diamond', 'heart', 'moon', 'arrow')
CATEGORY_IDS = {name: number for number, name in enumerate(CLASSES, start=1)}
TURN_LIMIT = 18.0
"""Largest random rotation in degrees: beyond it a square starts to look like a diamond."""
RING_HOLE = 0.32
"""Inner over outer radius. One polygon cannot express the hole: at 0.32 it costs 10 % of the area."""


class Outline(NamedTuple):
    """A polygon with at most one hole; arrays of shape (K, 2), x and y."""

    exterior: np.ndarray
    hole: np.ndarray | None


@cache
def unit_outline(name: str) -> Outline:
    """The upright outline of a class, before it is centred and scaled.

    Args:
        name: One of :data:`CLASSES`.
    """
    exterior = _EXTERIORS[name]()
    hole = _regular(32, radius=RING_HOLE) if name == 'ring' else None
    return Outline(exterior, hole)


def place_outline(name: str, center: tuple[float, float], diameter: float, angle: float) -> Outline:
    """Rotate, scale and move a class's outline.

    Args:
        name: One of :data:`CLASSES`.
        center: Where the middle of the bounding box shall be, in pixels.
        diameter: The longer side of the bounding box, in pixels.
        angle: Rotation in degrees, clockwise on the screen.
    """
    exterior, hole = unit_outline(name)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[cos, sin], [-sin, cos]])
    exterior = exterior @ turn
    low, high = exterior.min(0), exterior.max(0)
    scale = diameter / (high - low).max()
    shift = np.asarray(center) - (low + high) / 2 * scale
    # as exact as it is going to be written, so that drawing and annotation agree
    exterior = np.round(exterior * scale + shift, 1)
    return Outline(exterior, None if hole is None else np.round(hole @ turn * scale + shift, 1))


def draw_angle(name: str, rng) -> float:
    """A random rotation in degrees that keeps the class recognisable."""
    quarter_turns = rng.choice((0, 90, 180, 270)) if name in ('arrow', 'moon') else 0
    return quarter_turns + rng.uniform(-TURN_LIMIT, TURN_LIMIT)


def _regular(count: int, radius: float = 1.0, start: float = -90.0) -> np.ndarray:
    angles = np.radians(start + np.arange(count) * 360.0 / count)
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _star() -> np.ndarray:
    points = _regular(10)
    points[1::2] *= 0.5
    return points


def _cross() -> np.ndarray:
    arm = 0.36
    quarter = np.array([[-arm, -1.0], [arm, -1.0], [arm, -arm]])
    turns = [np.array([[0, 1], [-1, 0]]), np.array([[-1, 0], [0, -1]]), np.array([[0, -1], [1, 0]])]
    return np.concatenate([quarter, *(quarter @ turn for turn in turns)])


def _heart() -> np.ndarray:
    # at the two cusps the curve would double back within a tenth of a pixel
    t = np.radians([angle for angle in range(0, 360, 10) if angle not in (10, 170, 190, 350)])
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -y], axis=1)


def _moon() -> np.ndarray:
    # the disc of radius 1 at the origin without the disc of radius 0.85 at (0.62, 0)
    shift, inner = 0.62, 0.85
    x = (1 - inner**2 + shift**2) / (2 * shift)
    outer_angle = np.arccos(x)
    inner_angle = np.arccos((x - shift) / inner)
    out = np.linspace(outer_angle, 2 * np.pi - outer_angle, 30)
    back = np.linspace(2 * np.pi - inner_angle, inner_angle, 20)[1:-1]
    outer_arc = np.stack([np.cos(out), np.sin(out)], axis=1)
    inner_arc = np.stack([shift + inner * np.cos(back), inner * np.sin(back)], axis=1)
    return np.concatenate([outer_arc, inner_arc])


_EXTERIORS = {
    'circle': lambda: _regular(40),
    'square': lambda: _regular(4, start=-135.0),
    'triangle': lambda: _regular(3),
    'star': _star,
    'ring': lambda: _regular(40),
    'cross': _cross,
    'diamond': lambda: np.array([[0, -1.0], [0.62, 0], [0, 1.0], [-0.62, 0]]),
    'heart': _heart,
    'moon': _moon,
    'arrow': lambda: np.array(
        [[0, -1.0], [0.85, 0.05], [0.38, 0.05], [0.38, 1.0], [-0.38, 1.0], [-0.38, 0.05], [-0.85, 0.05]]
    ),
}


COLORS = {
    'red': (212, 38, 42),
    'orange': (243, 138, 28),
    'yellow': (248, 222, 60),
    'green': (40, 158, 66),
    'blue': (38, 86, 212),
    'purple': (142, 54, 178),
    'white': (244, 244, 244),
    'black': (30, 30, 34),
}
"""RGB, 0 to 255."""

TEXTURES = ('plain', 'striped', 'dotted', 'checkered')
TEXTURE_WEIGHTS = (0.46, 0.18, 0.18, 0.18)

SIZES = {'small': (0.24, 0.28), 'medium': (0.34, 0.39), 'large': (0.47, 0.54)}
"""Diameter over image side. The gaps keep a large object at least 1.2 times a medium one."""
SIZE_WEIGHTS = (0.36, 0.36, 0.28)
