"""What a sentence means: a small query language over a scene, and its evaluation.

A query is a set of attributes and at most one modifier. Each predicate has
three values: true, false, and *borderline* (left by a pixel, hardly larger,
overlapping a little). A query refers to an object only if it is true of that
object and false of all others; one borderline case is enough to reject it, so
that people and programs who draw the lines a little differently agree.

Truth over a scene is a pair of bit sets, bit i for object i: those it is true
of, and those it is true or borderline of.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from .scene import Scene, SceneObject

ATTRIBUTES = ('shape', 'color', 'size', 'texture')
SIDES = ('left', 'right', 'top', 'bottom')
REGIONS = (*SIDES, 'middle', 'top left', 'top right', 'bottom left', 'bottom right')
DIRECTIONS = {'left of': (0, -1), 'right of': (0, 1), 'above': (1, -1), 'below': (1, 1)}
"""Relation -> (axis, sign) of the way from the landmark to the referent; y points down."""
NEIGHBOURHOOD = np.ones((5, 5), np.uint8)
"""Objects with at most two pixels between them count as touching, which is a borderline case of "behind"."""
MIN_SEAM = 6
"""Length in pixels of the seam between two objects without which none is said to be behind the other."""
RELATIONS = (*DIRECTIONS, 'next to', 'behind', 'in front of', 'closest to', 'between')


class Truth(NamedTuple):
    """Bit sets of the objects a predicate is true of, and not false of."""

    true: int
    possible: int

    def __and__(self, other: 'Truth') -> 'Truth':
        return Truth(self.true & other.true, self.possible & other.possible)


@dataclass(frozen=True)
class Region:
    """In a part of the image; ``name`` is one of :data:`REGIONS`."""

    name: str


@dataclass(frozen=True)
class Rank:
    """The ``number``-th (from 1) when counted from a side of the image."""

    number: int
    side: str


@dataclass(frozen=True)
class Extreme:
    """The ``'largest'`` or ``'smallest'``."""

    name: str


@dataclass(frozen=True)
class Relation:
    """In a relation (:data:`RELATIONS`) to one landmark, or to two for ``'between'``."""

    name: str
    landmarks: 'tuple[Query, ...]'


@dataclass(frozen=True)
class Query:
    """``attributes`` are (name, value) pairs in the order of :data:`ATTRIBUTES`."""

    attributes: tuple[tuple[str, str], ...]
    modifier: Region | Rank | Extreme | Relation | None = None


class World:
    """A scene as the predicates see it: boxes, distances and overlaps, computed once.

    Lengths are in image sides, so that the margins hold for any size.
    """

    REGION_EDGE = (0.41, 0.52)
    MIDDLE = (0.13, 0.22)
    DIRECTION = (0.1, -0.02)
    NEXT_TO = (0.085, 0.2)
    RANK_GAP = 0.07
    LARGER = 1.22
    CLOSER = (1.4, 0.05)
    MIN_HIDDEN = 0.05

    def __init__(self, scene: Scene):
        self.objects = scene.objects
        self.count = len(scene.objects)
        self.everything = (1 << self.count) - 1
        self.centers = [tuple(c / scene.side for c in item.center) for item in scene.objects]
        self._edges = [_edge_points(item) / scene.side for item in scene.objects]
        self._overlap = self._overlaps()
        self._tables: dict[str, list[Truth]] = {}
        self._attributes: dict[tuple[str, str], Truth] = {}
        self._regions: dict[str, Truth] = {}
        self._gaps: dict[tuple[int, int], float] = {}
        self._referents: dict[Query, int | None] = {}

    def attribute(self, name: str, value: str) -> Truth:
        """Objects with an attribute. A medium object is a borderline case of large and of small."""
        key = (name, value)
        if key not in self._attributes:
            values = [getattr(item, name) for item in self.objects]
            true = _bits(v == value for v in values)
            fuzzy = _bits(v == 'medium' for v in values) if name == 'size' else 0
            self._attributes[key] = Truth(true, true | fuzzy)
        return self._attributes[key]

    def region(self, name: str) -> Truth:
        """Objects whose centre lies in a part of the image."""
        if name not in self._regions:
            truth = Truth(self.everything, self.everything)
            for word in name.split():
                truth &= self._half(word)
            self._regions[name] = truth
        return self._regions[name]

    def referent(self, query: 'Query') -> int | None:
        """The index of the one object that a query refers to, or None; remembered for landmarks' sake."""
        if query not in self._referents:
            true, possible = evaluate(query, self)
            found = true == possible and true.bit_count() == 1
            self._referents[query] = true.bit_length() - 1 if found else None
        return self._referents[query]

    def relation(self, name: str, landmarks: tuple[int, ...]) -> Truth:
        """Objects in a relation to the landmarks, which are never among them."""
        if name == 'between':
            return self._between(*landmarks)
        if name not in self._tables:
            self._tables[name] = [self._relation_row(name, j) for j in range(self.count)]
        return self._tables[name][landmarks[0]]

    def rank(self, number: int, side: str, among: int) -> Truth:
        """The ``number``-th of the objects in the bit set ``among``, counted from a side."""
        axis, sign = (0 if side in ('left', 'right') else 1), (1 if side in ('left', 'top') else -1)
        members = _members(among)
        true = possible = 0
        for i in members:
            ahead = [sign * (self.centers[i][axis] - self.centers[j][axis]) for j in members if j != i]
            first = 1 + sum(a >= self.RANK_GAP for a in ahead)
            last = 1 + sum(a > -self.RANK_GAP for a in ahead)
            true |= (first == last == number) << i
            possible |= (first <= number <= last) << i
        return Truth(true, possible)

    def extreme(self, name: str, among: int) -> Truth:
        """The largest or smallest of the objects in ``among``, whole and by what is seen of it."""
        sign = 1 if name == 'largest' else -1
        members = _members(among)
        true = possible = 0
        for i in members:
            wins = [self._larger(i, j, sign) for j in members if j != i]
            loses = any(self._larger(j, i, sign) for j in members if j != i)
            true |= all(wins) << i
            possible |= (not loses) << i
        return Truth(true, possible)

    def closest(self, landmark: int, among: int) -> Truth:
        """The one of ``among`` that is nearest to a landmark, by centres and by edges."""
        members = [i for i in _members(among) if i != landmark]
        far = {i: self._distance(i, landmark) for i in members}
        gap = {i: self._gap(i, landmark) for i in members}
        ratio, step = self.CLOSER

        def nearer(i, j):
            return far[i] * ratio <= far[j] and gap[i] + step <= gap[j]

        true = _bits_of(i for i in members if all(nearer(i, j) for j in members if j != i))
        possible = _bits_of(i for i in members if not any(nearer(j, i) for j in members if j != i))
        return Truth(true, possible)

    def _half(self, word: str) -> Truth:
        inner, outer = self.MIDDLE if word == 'middle' else self.REGION_EDGE
        values = []
        for x, y in self.centers:
            if word == 'middle':
                values.append(max(abs(x - 0.5), abs(y - 0.5)))
            else:
                values.append({'left': x, 'right': 1 - x, 'top': y, 'bottom': 1 - y}[word])
        return Truth(_bits(v <= inner for v in values), _bits(v < outer for v in values))

    def _relation_row(self, name: str, j: int) -> Truth:
        decide = {'next to': self._next_to, 'behind': self._behind, 'in front of': self._in_front}
        true = possible = 0
        for i in range(self.count):
            if i != j:
                verdict = decide[name](i, j) if name in decide else self._direction(name, i, j)
                true |= (verdict is True) << i
                possible |= (verdict is not False) << i
        return Truth(true, possible)

    def _direction(self, name: str, i: int, j: int) -> bool | None:
        # True holds for who reads "left of" as a cone, False for who reads it as a half plane
        axis, sign = DIRECTIONS[name]
        along = sign * (self.centers[i][axis] - self.centers[j][axis])
        across = abs(self.centers[i][1 - axis] - self.centers[j][1 - axis])
        if along <= self.DIRECTION[1]:
            return False
        clear = along >= self.DIRECTION[0] and across <= 0.8 * along and not self._touches(i, j)
        return True if clear else None

    def _next_to(self, i: int, j: int) -> bool | None:
        if self._touches(i, j):
            return None
        gap = self._gap(i, j)
        return True if gap <= self.NEXT_TO[0] else False if gap >= self.NEXT_TO[1] else None

    def _behind(self, i: int, j: int) -> bool | None:
        if i > j or not self._touches(i, j):
            return False
        return True if self._overlap[i][j] >= self.MIN_HIDDEN else None

    def _in_front(self, i: int, j: int) -> bool | None:
        return self._behind(j, i)

    def _between(self, a: int, b: int) -> Truth:
        (ax, ay), (bx, by) = self.centers[a], self.centers[b]
        length2 = (bx - ax) ** 2 + (by - ay) ** 2
        true = possible = 0
        for i, (x, y) in enumerate(self.centers):
            if i in (a, b) or length2 == 0:
                continue
            along = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length2
            across = abs((x - ax) * (by - ay) - (y - ay) * (bx - ax)) / length2
            true |= (0.27 <= along <= 0.73 and across <= 0.14 and length2 >= 0.16) << i
            possible |= (0.1 < along < 0.9 and across < 0.4) << i
        return Truth(true, possible)

    def _larger(self, i: int, j: int, sign: int) -> bool:
        whole = (self.objects[i].diameter / self.objects[j].diameter) ** sign
        seen = (max(self.objects[i].box[2:]) / max(self.objects[j].box[2:])) ** sign
        return whole >= self.LARGER and seen >= 1.1

    def _distance(self, i: int, j: int) -> float:
        return float(np.hypot(*np.subtract(self.centers[i], self.centers[j])))

    def _gap(self, i: int, j: int) -> float:
        pair = (min(i, j), max(i, j))
        if pair not in self._gaps:
            x = self._edges[i][:, 0, None] - self._edges[j][:, 0]
            y = self._edges[i][:, 1, None] - self._edges[j][:, 1]
            self._gaps[pair] = float(np.sqrt((x * x + y * y).min()))
        return self._gaps[pair]

    def _touches(self, i: int, j: int) -> bool:
        return self._overlap[min(i, j)][max(i, j)] is not None

    def _overlaps(self) -> list[list[float | None]]:
        """Per pair i < j: on what share of i, or of j if smaller, j is seen beside what is seen of i.

        0 where that cannot be seen because a third object covers it; None where the two lie apart.
        """
        areas = [np.count_nonzero(item.full) for item in self.objects]
        shares: list[list[float | None]] = [[None] * self.count for _ in range(self.count)]
        for i, lower in enumerate(self.objects):
            grown = cv2.dilate(lower.full.astype(np.uint8), NEIGHBOURHOOD) > 0
            for j in range(i + 1, self.count):
                upper = self.objects[j]
                if (grown & upper.full).any():
                    reach = cv2.dilate(lower.visible.astype(np.uint8), NEIGHBOURHOOD[1:4, 1:4]) > 0
                    meet = np.count_nonzero(reach & upper.visible) >= MIN_SEAM
                    shown = np.count_nonzero(lower.full & upper.visible) if meet else 0
                    shares[i][j] = shown / min(areas[i], areas[j])
        return shares


def evaluate(query: Query, world: World) -> Truth:
    """The objects that a query is true of, and those it is not false of."""
    truth = Truth(world.everything, world.everything)
    for name, value in query.attributes:
        truth &= world.attribute(name, value)
    return apply_modifier(query.modifier, truth, world)


def apply_modifier(modifier: Region | Rank | Extreme | Relation | None, head: Truth, world: World) -> Truth:
    """Restrict the objects of a head noun by a modifier."""
    if modifier is None:
        return head
    if isinstance(modifier, Region):
        return head & world.region(modifier.name)
    if isinstance(modifier, Relation):
        landmarks = tuple(world.referent(landmark) for landmark in modifier.landmarks)
        if None in landmarks:
            return Truth(0, head.possible)
        if modifier.name != 'closest to':
            return head & world.relation(modifier.name, landmarks)
        compare, arguments = world.closest, landmarks
    elif isinstance(modifier, Rank):
        compare, arguments = world.rank, (modifier.number, modifier.side)
    else:
        compare, arguments = world.extreme, (modifier.name,)
    # who is first or largest depends on who takes part, so no borderline member is allowed
    return compare(*arguments, head.true) if head.true == head.possible else Truth(0, head.possible)


def _bits(flags) -> int:
    return sum(bool(flag) << i for i, flag in enumerate(flags))


def _bits_of(indices) -> int:
    return sum(1 << i for i in indices)


def _members(bits: int) -> list[int]:
    return [i for i in range(bits.bit_length()) if bits >> i & 1]


def _edge_points(item: SceneObject) -> np.ndarray:
    contours, _ = cv2.findContours(item.visible.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = np.concatenate([c.reshape(-1, 2) for c in contours])
    return points[:: max(1, len(points) // 32)].astype(np.float64)
