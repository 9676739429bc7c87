"""The sizes of RefShapes by name, and what each split is made of."""

from dataclasses import asdict, dataclass, field
from typing import Any

from mmrefseg.utils import UserInputError

VERSION = 1
"""Raise it when the same parameters would give other images or sentences."""

KINDS = ('attributes', 'position', 'relation', 'ordinal', 'occlusion', 'complex')

EASY_MIXTURE = {
    'attributes': 0.34,
    'position': 0.34,
    'relation': 0.2,
    'ordinal': 0.04,
    'occlusion': 0.04,
    'complex': 0.04,
}
HARD_MIXTURE = {
    'attributes': 0.1,
    'position': 0.15,
    'relation': 0.28,
    'ordinal': 0.17,
    'occlusion': 0.12,
    'complex': 0.18,
}


@dataclass(frozen=True)
class SplitRules:
    """What the scenes and sentences of one split are like.

    Attributes:
        num_images: How many images.
        num_objects: Fewest and most objects in an image.
        distractor: Chance that a further object takes the class of an earlier one.
        twin: Chance that such an object takes the colour as well.
        occlusion: Chance that a further object is laid over an earlier one.
        needed: Chance that a position, relation or ordinal is one without
            which the sentence would not single out its object.
        mixture: Share of each kind of sentence (:data:`KINDS`).
    """

    num_images: int
    num_objects: tuple[int, int] = (3, 6)
    distractor: float = 0.35
    twin: float = 0.2
    occlusion: float = 0.25
    needed: float = 0.5
    mixture: dict[str, float] = field(default_factory=lambda: dict(EASY_MIXTURE))


@dataclass(frozen=True)
class Preset:
    """A data set's parameters but for the seed."""

    name: str
    image_size: int
    splits: dict[str, SplitRules]

    def as_dict(self) -> dict[str, Any]:
        """The parameters as plain containers that survive a round trip through json."""
        data = asdict(self)
        for rules in data['splits'].values():
            rules['num_objects'] = list(rules['num_objects'])
        return data


def make_preset(
    name: str, image_size: int, train: int, val: int, test_a: int, test_b: int, num_objects=(3, 6)
) -> Preset:
    """A preset with the usual four splits.

    ``train``, ``val`` and ``testA`` are alike; ``testB`` is harder: more
    objects of the same class and colour, and mostly relations and ordinals.
    """
    like_train = {'train': train, 'val': val, 'testA': test_a}
    splits = {split: SplitRules(count, num_objects) for split, count in like_train.items()}
    splits['testB'] = SplitRules(
        test_b,
        (num_objects[0] + 1, num_objects[1]),
        distractor=0.75,
        twin=0.5,
        occlusion=0.4,
        needed=0.9,
        mixture=dict(HARD_MIXTURE),
    )
    return Preset(name, image_size, splits)


PRESETS = {
    'tiny': make_preset('tiny', 128, train=48, val=16, test_a=16, test_b=16),
    'small': make_preset('small', 128, train=3000, val=200, test_a=200, test_b=200, num_objects=(3, 5)),
    'full': make_preset('full', 256, train=17000, val=1000, test_a=1000, test_b=1000, num_objects=(3, 7)),
}


def find_preset(size: 'str | Preset') -> Preset:
    """Look a size up by name; a :class:`Preset` is returned as it is.

    Raises:
        UserInputError: If there is no such size.
    """
    if isinstance(size, Preset):
        return size
    if size not in PRESETS:
        raise UserInputError.of(
            'RefShapes', f'size {size!r}', f'one of {list(PRESETS)}', 'choose one of these'
        )
    return PRESETS[size]
