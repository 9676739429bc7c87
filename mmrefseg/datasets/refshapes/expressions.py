"""Saying it: queries of a wanted kind that single out an object, and English sentences of 1 to 14 words."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from .meaning import (
    ATTRIBUTES,
    DIRECTIONS,
    REGIONS,
    RELATIONS,
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
from .presets import KINDS, SplitRules
from .shapes import CLASSES, COLORS, TEXTURES

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


MAX_WORDS = 14
SYNONYMS = {
    'circle': ('circle', 'circle', 'circle', 'disc'),
    'square': ('square', 'square', 'square', 'box'),
    'ring': ('ring', 'ring', 'ring', 'hoop'),
    'cross': ('cross', 'cross', 'cross', 'plus'),
    'moon': ('moon', 'moon', 'crescent'),
    'purple': ('purple', 'purple', 'purple', 'violet'),
    'large': ('large', 'large', 'big'),
    'small': ('small', 'small', 'little'),
    'plain': ('plain', 'plain', 'solid'),
    'dotted': ('dotted', 'dotted', 'spotted'),
    'checkered': ('checkered',),
    'largest': ('largest', 'biggest'),
    'next to': ('next to', 'next to', 'beside'),
    'left of': ('left of', 'to the left of'),
    'right of': ('right of', 'to the right of'),
    'closest to': ('closest to', 'nearest to'),
}
GENERIC_NOUNS = ('shape', 'object', 'thing')
PATTERN_NOUNS = {'striped': 'stripes', 'dotted': 'dots'}
ORDINALS = {1: 'first', 2: 'second', 3: 'third'}
FIRST_WORDS = {
    'left': ('leftmost',),
    'right': ('rightmost',),
    'top': ('highest', 'topmost'),
    'bottom': ('lowest',),
}
COUNT_CHANCES = {1: 0.25, 2: 0.35, 3: 0.25, 4: 0.15}
"""How many sentences an object gets."""
HARD_FIRST = ('occlusion', 'complex', 'ordinal', 'relation', 'position', 'attributes')


@dataclass(frozen=True)
class Expression:
    """A sentence, its kind (one of ``presets.KINDS``) and its meaning."""

    text: str
    kind: str
    query: Query


def describe_scene(world: World, rng: random.Random, rules: SplitRules) -> list[list[Expression]]:
    """Write 1 to 4 sentences about each object.

    The kinds are drawn for the scene as a whole and the rarely possible ones
    are placed first, so that the shares over many scenes come near to
    ``rules.mixture``. An object that nothing singles out gets no sentence.
    """
    sampler = QuerySampler(world, rng, rules.needed)
    counts = rng.choices(tuple(COUNT_CHANCES), tuple(COUNT_CHANCES.values()), k=world.count)
    slots = [i for i, count in enumerate(counts) for _ in range(count)]
    rng.shuffle(slots)
    kinds = rng.choices(KINDS, [rules.mixture[kind] for kind in KINDS], k=len(slots))
    said: list[list[Expression]] = [[] for _ in range(world.count)]
    for kind in sorted(kinds, key=HARD_FIRST.index):
        slot = next((s for s in slots if _say(sampler, rng, kind, s, said)), None)
        if slot is not None:
            slots.remove(slot)
    for slot in slots:
        # a random order in which a kind of twice the weight is twice as likely to come first
        order = sorted(KINDS, key=lambda kind: rng.expovariate(rules.mixture[kind] + 1e-9))
        any(_say(sampler, rng, kind, slot, said) for kind in order)
    for expressions in said:
        rng.shuffle(expressions)
    return said


def _say(sampler: QuerySampler, rng: random.Random, kind: str, target: int, said: list) -> bool:
    query = sampler.draw(kind, target)
    if query is None:
        return False
    text = realise(query, rng)
    if len(text.split()) > MAX_WORDS or any(text == other.text for other in said[target]):
        return False
    said[target].append(Expression(text, kind, query))
    return True


def realise(query: Query, rng: random.Random) -> str:
    """A sentence with the meaning of a query; ``rng`` picks among synonyms and constructions."""
    terse = rng.random() < 0.35
    adjectives, noun, after = _head(query, rng)
    modifier = query.modifier
    if isinstance(modifier, Region):
        words = _say_region(modifier.name, adjectives, noun, after, rng, terse)
    elif isinstance(modifier, Rank):
        words = _say_rank(modifier, adjectives, noun, after, rng)
    elif isinstance(modifier, Extreme):
        words = ['the', _word(modifier.name, rng), *adjectives, noun, *after]
    elif isinstance(modifier, Relation):
        words = ['the', *adjectives, noun, *after, *_say_relation(modifier, rng, terse)]
    else:
        words = ['the', *adjectives, noun, *after]
    return ' '.join(word for word in words if not (terse and word == 'the'))


def _word(word: str, rng: random.Random) -> str:
    return rng.choice(SYNONYMS.get(word, (word,)))


def _head(query: Query, rng: random.Random, landmark: bool = False) -> tuple[list[str], str, list[str]]:
    """Adjectives, noun, and what follows the noun ("with stripes")."""
    values = dict(query.attributes)
    noun = _word(values['shape'], rng) if 'shape' in values else rng.choice(GENERIC_NOUNS)
    adjectives = [_word(values[name], rng) for name in ('size', 'texture', 'color') if name in values]
    pattern = PATTERN_NOUNS.get(values.get('texture'))
    if pattern and not landmark and rng.random() < 0.2:
        adjectives = [_word(values[name], rng) for name in ('size', 'color') if name in values]
        return adjectives, noun, ['with', pattern]
    if len(adjectives) >= 2 and 'texture' in values and 'color' in values and rng.random() < 0.25:
        adjectives[-2:] = adjectives[:-3:-1]
    return adjectives, noun, []


def _say_region(
    name: str, adjectives: list[str], noun: str, after: list[str], rng: random.Random, terse: bool
) -> list[str]:
    name = rng.choice(('middle', 'center')) if name == 'middle' else name
    corner = ' ' in name
    where = name.split()
    if rng.random() < 0.35:
        return ['the', *where, *adjectives, noun, *after]
    if terse and rng.random() < 0.4 and not after and name not in ('middle', 'center'):
        return [*adjectives, noun, *where]
    if corner:
        phrase = rng.choice((['in', 'the', *where, 'corner'], ['at', 'the', *where]))
    elif name in ('middle', 'center'):
        phrase = ['in', 'the', *where]
    elif name in ('top', 'bottom'):
        phrase = ['at', 'the', *where]
    else:
        phrase = rng.choice((['on', 'the', *where], ['on', 'the', *where, 'side']))
    return ['the', *adjectives, noun, *after, *phrase]


def _say_rank(
    modifier: Rank, adjectives: list[str], noun: str, after: list[str], rng: random.Random
) -> list[str]:
    if modifier.number == 1 and rng.random() < 0.7:
        return ['the', rng.choice(FIRST_WORDS[modifier.side]), *adjectives, noun, *after]
    count = ORDINALS[modifier.number]
    return ['the', count, *adjectives, noun, *after, 'from', 'the', modifier.side]


def _say_relation(modifier: Relation, rng: random.Random, terse: bool) -> list[str]:
    phrases = []
    for landmark in modifier.landmarks:
        adjectives, noun, _ = _head(landmark, rng, landmark=True)
        phrases.append(['the', *adjectives, noun])
    how = modifier.name if terse else _word(modifier.name, rng)
    words = how.split() + (phrases[0] if len(phrases) == 1 else [*phrases[0], 'and', *phrases[1]])
    return ['that', 'is', *words] if not terse and rng.random() < 0.1 else words


def _vocabulary() -> tuple[str, ...]:
    names = (*CLASSES, *COLORS, *TEXTURES, *REGIONS, *RELATIONS, 'large', 'small', 'largest', 'smallest')
    words = {word for name in names for said in SYNONYMS.get(name, (name,)) for word in said.split()}
    words |= {*GENERIC_NOUNS, *PATTERN_NOUNS.values(), *ORDINALS.values(), 'center', 'corner', 'side'}
    words |= {word for choices in FIRST_WORDS.values() for word in choices}
    return tuple(sorted(words | {'the', 'with', 'on', 'at', 'in', 'from', 'and', 'that', 'is'}))


VOCABULARY = _vocabulary()
"""Every word that a sentence can use, sorted."""
