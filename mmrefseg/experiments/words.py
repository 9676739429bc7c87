"""Words that were never trained on: a vocabulary's GRU against a pretrained text encoder, on RefShapes.

Both learn in one boxes-only network, whose image part stays as it is, from sentences that say one word for
each thing, and are tested on sentences that say others (:mod:`mmrefseg.datasets.refshapes.synonyms`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..datasets.refshapes.synonyms import FILE, VOCABULARY_FILE, split_name
from ..utils import atomic_write, dump_json, load_json
from ..utils.places import shipped
from .experiment_tables import mean_and_spread, spread
from .few_masks import SHIPPED_REC, epochs_of
from .real_weights import MINILM, WeightStudy, find_weights, weights_folder
from .stages import Stage, python

SPLITS = {'testA': 'testA', split_name('testA'): 'testA, said with synonyms'}
"""Split -> how the table calls it."""
NOT_TAKEN = ('language_model.', 'auxiliary_heads.word.')
"""What of the boxes-only network stays out: all that has to do with words."""


@dataclass(frozen=True)
class Reader:
    """What reads the sentences.

    Attributes:
        name: Of its folder.
        label: As the table calls it.
        config: Of its training.
        pretrained: Whether it needs published weights.
    """

    name: str
    label: str
    config: str
    pretrained: bool = False


READERS = (
    Reader('gru', 'GRU of a vocabulary', 'configs/extended/box-frame_tiny_words_refshapes.py'),
    Reader(
        'minilm',
        'GRU of all-MiniLM-L6-v2, frozen',
        'configs/extended/box-frame_tiny_words-minilm_refshapes.py',
        pretrained=True,
    ),
)


class WordStudy(WeightStudy):
    """Commands and files with one seed."""

    @property
    def start(self) -> Path:
        """The boxes-only network without its words; all seeds start from it."""
        return self.folder.parent / 'start.pth'

    def check(self, readers: Sequence[Reader] = READERS) -> None:
        """See that the published weights are there.

        Raises:
            UserInputError: If not; the sentence has the command that fetches them.
        """
        if any(reader.pretrained for reader in readers):
            find_weights(MINILM, self.weights)

    def write_start(self) -> None:
        """Write :attr:`start`, if it is not there."""
        from ..checkpoints.conversion_report import write_checkpoint
        from ..compat.checkpoint import load_checkpoint_file
        from ..utils.places import shipped_weights

        if not self.start.exists():
            state = load_checkpoint_file(shipped_weights(SHIPPED_REC))['state_dict']
            kept = {key: value for key, value in state.items() if not key.startswith(NOT_TAKEN)}
            write_checkpoint(self.start, kept, original=SHIPPED_REC)

    def stages(self, readers: Sequence[Reader] = READERS) -> Iterator[Stage]:
        """The data, then each reader trained and tested."""
        command = python(
            'tools/dataset_converters/create_refshapes.py', '--size', self.size, '--seed', 0, '--synonyms'
        )
        yield Stage(f'RefShapes {self.size} with synonyms', command, self.annotations / FILE)
        for reader in readers:
            config, work_dir = shipped(reader.config), self.folder / reader.name
            options = [*self._options(reader), *self.options]
            command = python(
                'tools/train.py', config, '--work-dir', work_dir, '--seed', self.seed,
                '--load-from', self.start, *(['--cfg-options', *options] if options else []),
            )  # fmt: skip
            yield Stage(reader.name, command, work_dir / 'best.pth', epochs=epochs_of(config, options))
            for split in SPLITS:
                yield self._test(reader, config, split)

    def _test(self, reader: Reader, config: Path, split: str) -> Stage:
        options = self._options(reader)
        command = python(
            'tools/test.py', config, self.folder / reader.name / 'best.pth', '--which-set', split,
            '--json', self.scores(reader, split), '--work-dir', self.folder / reader.name,
            *(['--cfg-options', *options] if options else []),
        )  # fmt: skip
        return Stage(f'test: {reader.name}, {split}', command, self.scores(reader, split))

    def _options(self, reader: Reader) -> list[str]:
        """Config options that put another size and another folder of weights in place of the configs'."""
        options = []
        if self.size != 'small':
            for loader in ('train', 'val', 'test'):
                key = f'{loader}_dataloader.dataset'
                options.append(f'{key}.ann_file={(self.annotations / FILE).resolve()}')
                options.append(f'{key}.data_prefix.img_path=images/refshapes_{self.size}')
            if not reader.pretrained:
                options.append(f'model.language_model.vocabulary.file={self.annotations / VOCABULARY_FILE}')
        if reader.pretrained and self.weights != weights_folder():
            options.append(f'model.language_model.model={self.weights / MINILM.name}')
        return options

    def scores(self, reader: Reader, split: str) -> Path:
        """The numbers of a reader on a split."""
        return self.folder / reader.name / f'{split}.json'


def write_words(studies: Sequence[WordStudy], folder: Path) -> str:
    """Write ``words.json`` and ``words.md`` of the seeds that are done; returns the table."""
    rows = [row for reader in READERS if (row := _row(studies, reader))]
    dump_json({'metric': 'Acc@0.5 in percent, per sentence', 'rows': rows}, folder / 'words.json', indent=2)
    text = words_table(rows)
    with atomic_write(folder / 'words.md') as file:
        file.write(text)
    return text


def _row(studies: Sequence[WordStudy], reader: Reader) -> dict | None:
    done = [study for study in studies if all(study.scores(reader, split).exists() for split in SPLITS)]
    if not done:
        return None
    row = {'reader': reader.name, 'label': reader.label, 'seeds': [study.seed for study in done]}
    for split in SPLITS:
        row[split] = spread([load_json(study.scores(reader, split))['acc50'] for study in done])
    return row


def words_table(rows: Sequence[Mapping]) -> str:
    """Markdown: Acc@0.5 of each reader and split, mean and spread over seeds, and how they differ.

    Args:
        rows: As ``words.json`` has them.
    """
    if not rows:
        return 'nothing is done yet\n'
    lines = [
        f'| sentences read by | {" | ".join(SPLITS.values())} | seeds |',
        '|---' * (2 + len(SPLITS)) + '|',
    ]
    for row in rows:
        cells = [mean_and_spread(row[split]) for split in SPLITS]
        lines.append(f'| {row["label"]} | {" | ".join(cells)} | {len(row["seeds"])} |')
    first, *others = rows
    for row in others:
        cells = [_difference(first, row, split) for split in SPLITS]
        lines.append(f'| {row["label"]}, more than the first | {" | ".join(cells)} | |')
    return '\n'.join(lines) + '\n'


def _difference(first: Mapping, row: Mapping, split: str) -> str:
    """Mean of the differences over the seeds that both have, and each of them."""
    values = [dict(zip(each['seeds'], each[split]['values'], strict=True)) for each in (first, row)]
    both = [seed for seed in values[0] if seed in values[1]]
    differences = [values[1][seed] - values[0][seed] for seed in both]
    if not differences:
        return '-'
    listed = ', '.join(f'{each:+.1f}' for each in differences)
    return f'{sum(differences) / len(differences):+.1f} ({listed})'
