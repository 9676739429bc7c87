"""Choosing what to say: queries of a wanted kind that single out a given object."""

import random
from collections.abc import Iterator
from itertools import combinations

from .meaning import (
    ATTRIBUTES,
    DIRECTIONS,
    REGIONS,
    SIDES,
    Extreme,
    Query,
    Rank,
    Region,
    Relation,
    Truth,
    World,
    apply_modifier,
)

HEAD_WEIGHTS = {0: 0.5, 1: 3.0, 2: 3.0, 3: 1.0, 4: 0.3}
"""How readily a description of so many attributes is used."""
LANDMARK_WEIGHTS = {1: 3.0, 2: 1.5, 3: 0.3}
NO_NOUN = 0.15
"""Factor for a description without the class ("the red shape")."""
SAYS_PLAIN = 0.35
"""Factor for a description that calls its object plain."""


class QuerySampler:
    """Draws queries about one scene.

    Args:
        world: The scene.
        rng: The only source of chance.
        needed: Chance that only queries are considered whose modifier
            is needed: without it the head would fit several objects.
    """

    def __init__(self, world: World, rng: random.Random, needed: float):
        self.world = world
        self.rng = rng
        self.needed = needed
        self._heads = [self._descriptions(i) for i in range(world.count)]

    def draw(self, kind: str, target: int) -> Query | None:
        """A query of a kind (see ``presets.KINDS``) that refers to ``target``, or None."""
        if kind == 'attributes':
            return self._draw_attributes(target)
        necessary = self.rng.random() < self.needed
        modifiers = list(getattr(self, f'_{kind}_modifiers')(target))
        self.rng.shuffle(modifiers)
        if self.rng.random() < 0.5:
            # there is seldom something between two others, and always something closest
            modifiers.sort(key=lambda modifier: getattr(modifier, 'name', '') != 'between')
        sizes = (2, 3) if kind == 'complex' else (0, 1, 2) if kind == 'position' else (0, 1, 1, 2)
        for modifier in modifiers:
            # a superlative, "between" and "closest to" are complex with few attributes too
            plain = isinstance(modifier, Rank | Extreme) or _is_rich(modifier)
            query = self._with_head(target, modifier, (0, 1, 2) if plain else sizes, necessary)
            if query is not None:
                return query
        return None

    def _descriptions(self, target: int) -> list[tuple[tuple, Truth]]:
        """Every set of attributes of an object, with what else it is true of."""
        item = self.world.objects[target]
        names = [name for name in ATTRIBUTES if getattr(item, name) != 'medium']
        found = []
        for count in range(len(names) + 1):
            for chosen in combinations(names, count):
                truth = Truth(self.world.everything, self.world.everything)
                for name in chosen:
                    truth &= self.world.attribute(name, getattr(item, name))
                found.append((tuple((name, getattr(item, name)) for name in chosen), truth))
        return found

    def _draw_attributes(self, target: int) -> Query | None:
        alone = Truth(1 << target, 1 << target)
        found = [attributes for attributes, truth in self._heads[target] if truth == alone]
        return Query(self._choose(found, HEAD_WEIGHTS)) if found else None

    def _with_head(self, target: int, modifier, sizes: tuple[int, ...], necessary: bool) -> Query | None:
        alone = Truth(1 << target, 1 << target)
        found = []
        for attributes, truth in self._heads[target]:
            if len(attributes) not in sizes or (necessary and truth == alone):
                continue
            if isinstance(modifier, Rank) and truth.true.bit_count() < max(2, min(modifier.number + 1, 3)):
                continue
            if isinstance(modifier, Extreme) and truth.true.bit_count() < 2:
                continue
            if (
                isinstance(modifier, Relation)
                and modifier.name == 'closest to'
                and truth.true.bit_count() < 2
            ):
                continue
            if apply_modifier(modifier, truth, self.world) == alone:
                found.append(attributes)
        return Query(self._choose(found, HEAD_WEIGHTS), modifier) if found else None

    def _choose(self, found: list[tuple], weights: dict[int, float]) -> tuple:
        chances = []
        for attributes in found:
            chance = weights.get(len(attributes), 0.01)
            chance *= 1.0 if _has_noun(attributes) else NO_NOUN
            chances.append(chance * (SAYS_PLAIN if ('texture', 'plain') in attributes else 1.0))
        return self.rng.choices(found, chances)[0]

    def _landmark(self, index: int) -> Query | None:
        alone = Truth(1 << index, 1 << index)
        found = [
            attributes
            for attributes, truth in self._heads[index]
            if truth == alone and len(attributes) in LANDMARK_WEIGHTS and _has_noun(attributes)
        ]
        return Query(self._choose(found, LANDMARK_WEIGHTS)) if found else None

    def _related(self, target: int, names: tuple[str, ...]) -> Iterator[Relation]:
        for name in names:
            for j in range(self.world.count):
                if j != target and self.world.relation(name, (j,)).true >> target & 1:
                    landmark = self._landmark(j)
                    if landmark is not None:
                        yield Relation(name, (landmark,))

    def _position_modifiers(self, target: int) -> Iterator[Region]:
        for name in REGIONS:
            if self.world.region(name).true >> target & 1:
                yield Region(name)

    def _relation_modifiers(self, target: int) -> Iterator[Relation]:
        yield from self._related(target, (*DIRECTIONS, 'next to'))

    def _occlusion_modifiers(self, target: int) -> Iterator[Relation]:
        yield from self._related(target, ('behind', 'in front of'))

    def _ordinal_modifiers(self, target: int) -> Iterator[Rank]:
        for side in SIDES:
            for number in (1, 2, 3):
                yield Rank(number, side)

    def _complex_modifiers(self, target: int) -> Iterator[Relation | Extreme]:
        others = [j for j in range(self.world.count) if j != target]
        for a, b in combinations(others, 2):
            if self.world.relation('between', (a, b)).true >> target & 1:
                landmarks = (self._landmark(a), self._landmark(b))
                if None not in landmarks:
                    yield Relation('between', landmarks)
        for j in others:
            landmark = self._landmark(j)
            if landmark is not None:
                yield Relation('closest to', (landmark,))
        yield from (Extreme('largest'), Extreme('smallest'))
        yield from self._related(target, (*DIRECTIONS, 'next to', 'behind', 'in front of'))


def _has_noun(attributes: tuple[tuple[str, str], ...]) -> bool:
    return bool(attributes) and attributes[0][0] == 'shape'


def _is_rich(modifier) -> bool:
    return isinstance(modifier, Relation) and modifier.name in ('between', 'closest to')
