"""Which words of an expression tell a place, and which tell looks: fixed lists, so that studies agree."""

import re
from collections.abc import Iterable, Sequence


def _lists(by_kind: dict[str, str]) -> dict[str, tuple[str, ...]]:
    return {kind: tuple(words.split()) for kind, words in by_kind.items()}


POSITION_WORDS = _lists(
    {
        'horizontal': 'left right leftmost rightmost lefthand righthand',
        'vertical': (
            'top bottom upper lower uppermost lowermost topmost bottommost highest lowest above below '
            'under underneath beneath over up down'
        ),
        'depth': (
            'front back behind foreground background closest nearest closer nearer far farthest '
            'furthest farther further'
        ),
        'place': 'middle mid center centre corner side edge between outside inside',
        'neighbour': 'next beside near adjacent nearby against facing',
        'order': 'first second third fourth fifth sixth last end 1st 2nd 3rd 4th 5th',
    }
)
"""Words of place, by kind."""

ATTRIBUTE_WORDS = _lists(
    {
        'colour': (
            'red orange yellow green blue purple violet pink brown tan beige white black gray grey '
            'silver gold golden navy maroon teal turquoise blond blonde crimson scarlet color colored '
            'colorful dark light bright'
        ),
        'size': (
            'big bigger biggest large larger largest huge small smaller smallest little tiny tall '
            'taller tallest short shorter shortest long longer longest thin thick wide narrow fat '
            'skinny medium'
        ),
        'pattern': (
            'plain solid striped stripes stripe stripey dotted dots spotted spots checkered checked '
            'checks plaid floral patterned wooden wood metal glass plastic leather brick stone furry '
            'shiny blurry'
        ),
        'person': 'man woman boy girl guy lady kid child baby old older young bald',
        'clothing': (
            'shirt tshirt jacket coat hat cap helmet dress pants jeans shorts suit tie glasses '
            'sunglasses vest sweater hoodie skirt uniform shoes scarf gloves'
        ),
    }
)
"""Words of looks, by kind."""

_TOKEN = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")


def tokens(expression: str) -> list[str]:
    """The words of an expression, in lower case, without punctuation; a hyphen parts two words."""
    return _TOKEN.findall(expression.lower().replace('t-shirt', 'tshirt'))


def count_words(expressions: Iterable[str]) -> int:
    """How many words the expressions have together."""
    return sum(len(tokens(expression)) for expression in expressions)


def words_of(expressions: Sequence[str], kinds: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The words of ``kinds`` that occur, each once, in the order of their first occurrence."""
    known = {word for words in kinds.values() for word in words}
    found = [word for expression in expressions for word in tokens(expression) if word in known]
    return tuple(dict.fromkeys(found))


def kinds_of(words: Iterable[str], kinds: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The names of the kinds that ``words`` belong to, in the order of ``kinds``."""
    words = set(words)
    return tuple(name for name, members in kinds.items() if words.intersection(members))
