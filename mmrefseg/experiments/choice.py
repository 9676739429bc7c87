"""Which masks to draw: half as many, chosen by need and coverage, against masks at random.

All rows train the refiner of :mod:`.rivals` on masks alone, for as many steps.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..utils import atomic_write, dump_json
from .experiment_tables import mean_and_spread
from .rivals import BOXES, BY_NAME, MASKS, RivalStudy, folder_of
from .rivals_table import KEYS, done_seeds
from .stages import Stage, python

HALF = '0.5%'
RANDOM, SPREAD, COVERED = 'm00.5_random', 'm00.5_k-center', 'm00.5_facility'
ROWS = {
    folder_of(BY_NAME[MASKS], 1): '1 % at random',
    RANDOM: '0.5 % at random',
    SPREAD: '0.5 % chosen, k-center',
    COVERED: '0.5 % chosen, facility',
}
"""Folder of each training -> what the table calls it."""
# half of the images have a mask: they come twice as often
_AS_MANY_STEPS = ('train_dataloader.dataset.times=80',)


class ChoiceStudy(RivalStudy):
    """Commands and files with one seed.

    Args:
        *args: As of :class:`RivalStudy`.
        chooser: The study whose network of boxes alone says where masks are needed; by default its own.
        **kwargs: As of :class:`RivalStudy`.
    """

    def __init__(self, *args, chooser: 'ChoiceStudy | None' = None, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.chooser = self if chooser is None else chooser

    def stages(self) -> Iterator[Stage]:
        """The network that chooses, if it is this study's, and the rows of the table."""
        done: set[str] = set()
        chooser = folder_of(BY_NAME[BOXES], 0)
        if self.chooser is self:
            yield from self._method(BY_NAME[BOXES], 0, done)
            yield self._pseudo(chooser, 0)
        yield from self._method(BY_NAME[MASKS], 1, done)
        predictions = self.chooser.work_dir(chooser) / 'pseudo'
        rules = {RANDOM: ('--random',)}
        for name, coverage in ((SPREAD, 'k-center'), (COVERED, 'facility')):
            rules[name] = ('--predictions', predictions, '--coverage', coverage)
        for name, rule in rules.items():
            annotations = self.folder / 'annotations' / f'{name}.json'
            yield self._choose(name, rule, annotations)
            yield from self._trained(name, BY_NAME[MASKS].config_for(1), annotations, _AS_MANY_STEPS)

    def _choose(self, name: str, rule: Sequence[str | Path], out: Path) -> Stage:
        # a file that a stopped run has left is one to replace
        command = python(
            'tools/choose_masks_to_draw.py', self.full_annotations, '--budget', HALF, '--seed', self.seed,
            '--images', f'data/images/refshapes_{self.size}', '--apply', out, '--overwrite', *rule,
        )  # fmt: skip
        return Stage(f'choose {name}', command, out)


def write_choice(studies: Sequence[ChoiceStudy], folder: Path) -> str:
    """Write ``choice.json`` and ``choice.md`` of the seeds that are done; returns the table."""
    found = {name: done_seeds(studies, name) for name in ROWS}
    rows = [{'masks': ROWS[name], **row} for name, row in found.items() if row]
    dump_json({'rows': rows}, folder / 'choice.json', indent=2)
    text = choice_table(rows)
    with atomic_write(folder / 'choice.md') as file:
        file.write(text)
    return text


def choice_table(rows: Sequence[Mapping]) -> str:
    """Markdown: mIoU and P@0.9 of each split, mean and spread over seeds.

    Args:
        rows: As ``choice.json`` has them.
    """
    if not rows:
        return 'nothing is done yet\n'
    splits = [key for key in rows[0] if isinstance(rows[0][key], dict)]
    names = [f'{split} {name}' for split in splits for name in ('mIoU', 'P@0.9')]
    lines = [f'| masks | {" | ".join(names)} | seeds |', '|---' * (2 + len(names)) + '|']
    for row in rows:
        cells = [mean_and_spread(row[split][key]) for split in splits for key in KEYS]
        lines.append(f'| {row["masks"]} | {" | ".join(cells)} | {len(row["seeds"])} |')
    return '\n'.join(lines) + '\n'
