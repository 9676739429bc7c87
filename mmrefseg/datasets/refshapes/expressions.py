"""Saying it: from a query to an English sentence of 1 to 14 words, and from a scene to all its sentences."""

import random
from dataclasses import dataclass

from .meaning import Extreme, Query, Rank, Region, Relation, World
from .presets import KINDS, SplitRules
from .queries import QuerySampler

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
    from .meaning import REGIONS, RELATIONS
    from .palette import COLORS, TEXTURES
    from .shapes import CLASSES

    names = (*CLASSES, *COLORS, *TEXTURES, *REGIONS, *RELATIONS, 'large', 'small', 'largest', 'smallest')
    words = {word for name in names for said in SYNONYMS.get(name, (name,)) for word in said.split()}
    words |= {*GENERIC_NOUNS, *PATTERN_NOUNS.values(), *ORDINALS.values(), 'center', 'corner', 'side'}
    words |= {word for choices in FIRST_WORDS.values() for word in choices}
    return tuple(sorted(words | {'the', 'with', 'on', 'at', 'in', 'from', 'and', 'that', 'is'}))


VOCABULARY = _vocabulary()
"""Every word that a sentence can use, sorted."""
