"""Late LAVT on RefShapes as commands of the package's own tools: train, four protocols, failures."""

from dataclasses import dataclass
from pathlib import Path

import cv2
from rich.table import Table

from ..datasets.annotations import load_split
from ..structures.masks import to_bitmap
from ..utils import load_json
from ..utils.places import shipped
from ..visualization.drawing import draw_case, save_grid
from .few_masks import epochs_of, refshapes_options
from .stages import Stage, python

CONFIG = 'configs/extended/late-lavt_tiny_refshapes.py'
PROTOCOLS = {
    'sentence': ((), 'per sentence, original size'),
    'network': (('frame=network',), "per sentence, network's size (LAVT's own)"),
    'cat': (('protocol=cat',), 'per object, sentences joined'),
    'avg': (('protocol=avg',), 'per object, mean of outputs'),
}
"""Options of ``tools/test.py`` and what they mean."""
KEYS = ('miou', 'oiou', 'p50', 'p90')


@dataclass(frozen=True)
class LavtDemo:
    """Commands and files of ``make demo-lavt``.

    Attributes:
        folder: Where everything is written.
        seed: Of the training.
        size: RefShapes size.
        split: The split that is tested on.
        protocols: Keys of :data:`PROTOCOLS`.
        options: ``key=value`` config options for the training (to make tests short).
    """

    folder: Path
    seed: int = 0
    size: str = 'small'
    split: str = 'testA'
    protocols: tuple[str, ...] = tuple(PROTOCOLS)
    options: tuple[str, ...] = ()

    @property
    def annotations(self) -> Path:
        """The working format."""
        return Path(f'data/annotations/refshapes_{self.size}/instances.json')

    @property
    def images(self) -> Path:
        """The pictures."""
        return Path(f'data/images/refshapes_{self.size}')

    @property
    def checkpoint(self) -> Path:
        """What the training leaves."""
        return self.folder / 'lavt' / 'best.pth'

    @property
    def predictions(self) -> Path:
        """The prediction file of the split."""
        return self.folder / f'{self.split}.res.json'

    def scores(self, protocol: str) -> Path:
        """The numbers of a protocol."""
        return self.folder / f'{self.split}_{protocol}.json'

    def stages(self) -> list[Stage]:
        """Everything, in order."""
        make = python('tools/dataset_converters/create_refshapes.py', '--size', self.size, '--seed', 0)
        tests = [self._test(protocol) for protocol in self.protocols]
        return [
            Stage(f'RefShapes {self.size}', make, self.annotations),
            self._train(),
            *tests,
            self._predict(),
            self._failures(),
        ]

    def _train(self) -> Stage:
        options = [*refshapes_options(self.size), *self.options]
        command = python(
            'tools/train.py', shipped(CONFIG), '--work-dir', self.folder / 'lavt', '--seed', self.seed,
            *(['--cfg-options', *options] if options else []),
        )  # fmt: skip
        return Stage('train late LAVT', command, self.checkpoint, epochs=epochs_of(CONFIG, options))

    def _tool(self, *arguments: object) -> tuple[str, ...]:
        changes = refshapes_options(self.size)
        return python(
            'tools/test.py', shipped(CONFIG), self.checkpoint, '--which-set', self.split, '--work-dir',
            self.folder / 'lavt', *arguments, *(['--cfg-options', *changes] if changes else []),
        )  # fmt: skip

    def _test(self, protocol: str) -> Stage:
        options, _ = PROTOCOLS[protocol]
        chosen = ['--options', *options] if options else []
        command = self._tool('--json', self.scores(protocol), *chosen)
        return Stage(f'test: {protocol}', command, self.scores(protocol))

    def _predict(self) -> Stage:
        prefix = str(self.predictions).removesuffix('.res.json')
        command = self._tool('--format-only', '--options', f'jsonfile_prefix={prefix}')
        return Stage('write predictions', command, self.predictions)

    def _failures(self) -> Stage:
        out = self.folder / 'failures'
        command = python(
            'tools/analysis_tools/analyze_failures.py', self.predictions, '--ann', self.annotations,
            '--split', self.split, '--images', self.images, '--out', out, '--instances',
            self.annotations.parent / 'coco' / f'instances_{self.split}.json', '--title',
            f'late LAVT on RefShapes {self.size} {self.split}',
        )  # fmt: skip
        return Stage('study the failures', command, out / 'index.html')

    def summary(self, seconds: float) -> dict:
        """What ``summary.json`` holds.

        Args:
            seconds: What all stages took.
        """
        found = {name: load_json(self.scores(name)) for name in self.protocols}
        failures = load_json(self.folder / 'failures' / 'summary.json')
        return {
            'protocols': {
                name: {key: round(scores[key], 2) for key in KEYS} for name, scores in found.items()
            },
            'failures': failures['num_failures'],
            'sentences': failures['num_cases'],
            'train_seconds': round(load_json(self.folder / 'stages' / 'train_late_lavt.json')['seconds'], 1),
            'seconds': round(seconds, 1),
            'seed': self.seed,
        }

    def draw(self, count: int) -> Path:
        """Draw the predictions for the first sentence of the first pictures into ``predictions.png``."""
        masks = {
            (entry['ref_id'], entry['sent_id']): (entry['segmentation'], entry.get('score'))
            for entry in load_json(self.predictions)
        }
        cases, seen = [], set()
        for record in load_split(str(self.annotations), self.split):
            if record['image_id'] in seen or len(cases) == count:
                continue
            seen.add(record['image_id'])
            size = int(record['height']), int(record['width'])
            mask, score = masks[record['ref_id'], record['sent_ids'][0]]
            cases.append(
                draw_case(
                    cv2.imread(str(self.images / record['file_name']))[..., ::-1],
                    record['expressions'][0],
                    truth_mask=to_bitmap(record['mask'], *size),
                    mask=to_bitmap(mask, *size),
                    score=score,
                )
            )
        path = self.folder / 'pictures' / 'predictions.png'
        save_grid(cases, path)
        return path


def lavt_table(demo: LavtDemo, summary: dict) -> Table:
    """The demo's result for a terminal."""
    table = Table(title=f'late LAVT on RefShapes {demo.size} {demo.split}, trained on all masks')
    table.add_column('protocol')
    for name in ('mIoU', 'oIoU', 'P@0.5', 'P@0.9'):
        table.add_column(name, justify='right')
    for name, scores in summary['protocols'].items():
        table.add_row(PROTOCOLS[name][1], *(f'{scores[key]:.1f}' for key in KEYS))
    table.caption = (
        f'{summary["failures"]} of {summary["sentences"]} sentences fail (IoU < 0.5); training '
        f'{summary["train_seconds"] / 60:.1f} of {summary["seconds"] / 60:.1f} minutes; '
        f'seed {summary["seed"]}'
    )
    return table
