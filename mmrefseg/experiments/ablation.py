"""What each part of BoxFrame adds: the same training without it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..utils import atomic_write, dump_json, load_json
from ..utils.places import shipped
from .few_masks import BOX_FRAME, PARTIAL_RES, READOUTS, PartialStudy
from .stages import Stage

SPLITS = ('val', 'testA')
"""The split that decides, and the one that is reported."""


@dataclass(frozen=True)
class Part:
    """One training of the ablation.

    Attributes:
        name: Of its folder.
        label: What is different.
        config: Its config file.
        readouts: Keys of :data:`READOUTS` that it has; none for boxes only.
    """

    name: str
    label: str
    config: Path
    readouts: tuple[str, ...] = ()


def _part(name: str, label: str, readouts: tuple[str, ...] = ()) -> Part:
    config = shipped(f'configs/extended/ablation/box-frame_tiny_{name}_refshapes.py')
    return Part(name, label, config, readouts)


BOTH = BOX_FRAME.readouts
MASK_PARTS = (
    Part('m05', 'all of it', BOX_FRAME.config('m05'), BOTH),
    _part('m05-no-frame', "contour from the whole image's memory, in its bins", ('decoder',)),
    _part('m05-no-mask-cells', 'no dense mask of the cells', ('decoder',)),
    _part('m05-no-jitters', 'each contour in one box a step, not two', BOTH),
    _part('m05-label-smoothing', "the paper's token loss", BOTH),
    _part('m05-no-box-cells', 'no cell loss of boxes', BOTH),
    _part('m05-no-words', 'no word loss', BOTH),
    _part('m05-no-categories', 'no category loss', BOTH),
)
"""5 % of the masks, all from one boxes-only network."""
BOX_PARTS = (
    Part('rec', 'all of it', BOX_FRAME.config('rec')),
    _part('rec-no-words', 'no word loss'),
    _part('rec-no-categories', 'no category loss'),
    _part('rec-no-box-cells', 'no cell loss of boxes'),
    Part('rec-paper', "none of them, and the paper's token loss", PARTIAL_RES.config('rec')),
)
"""Boxes only, from nothing."""


class Ablation:
    """Commands and files of the ablation with one seed.

    Args:
        study: Its seed, size, options and boxes-only network; its folder is where everything is written.
        rec_epochs: Epochs of the trainings from boxes only; the configs' if it is left out.
    """

    def __init__(self, study: PartialStudy, rec_epochs: int | None = None) -> None:
        self.study = study
        self.rec_options = () if rec_epochs is None else schedule_options(rec_epochs)

    def stages(self) -> Iterator[Stage]:
        """Train and test every part."""
        for part in MASK_PARTS:
            yield from self._part(part, self.study.rec_checkpoint, self.study.sample(5))
        for part in BOX_PARTS:
            yield from self._part(part, None, self.study.full_annotations, *self.rec_options)

    def _part(self, part: Part, start: str | None, annotations: Path, *options: str) -> Iterator[Stage]:
        work_dir = self.study.work_dir(part.name)
        yield self.study.train(part.config, work_dir, part.name, start, annotations, *options)
        for readout in part.readouts or (None,):
            for split in SPLITS:
                scores = self.scores(part, split, readout)
                title = ', '.join(filter(None, (part.name, split, readout)))
                changes = READOUTS[readout] if readout else ()
                yield self.study.test(part.config, work_dir / 'best.pth', scores, title, changes, split)

    def scores(self, part: Part, split: str, readout: str | None) -> Path:
        """The numbers of a part; of boxes without a readout."""
        name = split if readout is None else f'{split}_{readout}'
        return self.study.work_dir(part.name) / f'{name}.json'

    def write_report(self) -> str:
        """Write ``ablation.json`` and ``ablation.md``; returns the table."""
        rows = [self._row(part) for part in (*MASK_PARTS, *BOX_PARTS)]
        dump_json({'seed': self.study.seed, 'rows': rows}, self.study.folder / 'ablation.json', indent=2)
        text = '\n'.join([*_mask_table(rows[: len(MASK_PARTS)]), '', *_box_table(rows[len(MASK_PARTS) :])])
        with atomic_write(self.study.folder / 'ablation.md') as file:
            file.write(text + '\n')
        return text

    def _row(self, part: Part) -> dict:
        row = {'name': part.name, 'label': part.label}
        for readout in part.readouts or (None,):
            for split in SPLITS:
                path = self.scores(part, split, readout)
                if path.exists():
                    found = load_json(path)
                    keys = ('miou', 'p90') if readout else ('acc50',)
                    for key in keys:
                        row['_'.join(filter(None, (split, readout, key)))] = round(found[key], 2)
        return row


def schedule_options(epochs: int) -> tuple[str, ...]:
    """Config options that make a training from boxes last so many epochs."""
    keys = ('train_cfg.max_epochs', 'train_cfg.val_interval', 'param_scheduler.1.T_max')
    return tuple(f'{key}={epochs}' for key in keys)


def _cell(row: dict, key: str) -> str:
    return f'{row[key]:.1f}' if key in row else '-'


def _mask_table(rows: Sequence[dict]) -> list[str]:
    names = [f'{split} {key}, {readout}' for split in SPLITS for readout in BOTH for key in ('mIoU', 'P@0.9')]
    keys = [f'{split}_{readout}_{key}' for split in SPLITS for readout in BOTH for key in ('miou', 'p90')]
    lines = [f'| 5 % of the masks | {" | ".join(names)} |', '|---' * (1 + len(names)) + '|']
    return lines + [f'| {row["label"]} | {" | ".join(_cell(row, key) for key in keys)} |' for row in rows]


def _box_table(rows: Sequence[dict]) -> list[str]:
    lines = ['| boxes only | val Acc@0.5 | testA Acc@0.5 |', '|---|---|---|']
    keys = [f'{split}_acc50' for split in SPLITS]
    return lines + [f'| {row["label"]} | {" | ".join(_cell(row, key) for key in keys)} |' for row in rows]
