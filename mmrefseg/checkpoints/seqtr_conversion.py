"""From a checkpoint file of SeqTR or Partial-RES to one of ours with its config and vocabulary."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from ..compat.checkpoint import load_checkpoint_file
from ..datasets.vocabulary import Vocabulary
from ..utils import UserInputError
from .report import ConversionReport
from .seqtr import SeqTRNetwork, convert_state, read_weights, recognise
from .seqtr_config import base_config, conventions_of, expected_of, inherit, plain_text, settings
from .writing import config_beside, write_checkpoint, write_config


@dataclass
class SeqTRConversion:
    """A converted checkpoint that is not written yet.

    Attributes:
        report: What went where, and the weights.
        network: What the checkpoint holds.
        weights: ``'ema'`` or ``'raw'``.
        base: The shipped config that its own inherits from.
        vocabulary: The words, or None for those of the base config.
        source: Name of the file that it came from.
    """

    report: ConversionReport
    network: SeqTRNetwork
    weights: str
    base: str
    vocabulary: Vocabulary | None
    source: str

    def config(self) -> Config:
        """The whole config, with the words in it."""
        words = None
        if self.vocabulary is not None:
            words = dict(words=self.vocabulary.words, tokenizer=self.vocabulary.tokenizer.name)
        return inherit(self.base, settings(self.network, self.base, words))

    def write(self, path: str | os.PathLike) -> None:
        """Write the checkpoint, and beside it the config and the vocabulary under the same name.

        Whatever reads the config finds the vocabulary and the checkpoint wherever the three files lie
        together. The checkpoint's ``meta['cfg']`` is the same config with the words in it, so that the
        checkpoint alone is enough too.
        """
        path = Path(path)
        write_checkpoint(
            path,
            self.report.state,
            cfg=plain_text(self.config()),
            original=self.network.original,
            task=self.network.task,
            weights=self.weights,
            source=self.source,
            conventions=conventions_of(self.network),
        )
        file = None
        if self.vocabulary is not None:
            words_path = path.with_suffix('.vocab.json')
            self.vocabulary.save(words_path)
            file = dict(file='{{ fileDirname }}/' + words_path.name)
        write_config(
            config_beside(path),
            f'{self.network.original} ({self.network.task}), {self.weights} weights of {self.source}, '
            'with the conventions that it was trained with.',
            self.base,
            settings(self.network, self.base, file) | dict(load_from='{{ fileDirname }}/' + path.name),
        )


def convert(source: str | os.PathLike, *args, **kwargs) -> SeqTRConversion:
    """:func:`convert_checkpoint` of a file, which is opened with ``weights_only=True``."""
    return convert_checkpoint(load_checkpoint_file(source), str(source), *args, **kwargs)


def convert_checkpoint(
    checkpoint: Mapping,
    source: str,
    dataset: str = 'refcoco-unc',
    vocabulary: Vocabulary | None = None,
    which: str | None = None,
) -> SeqTRConversion:
    """Convert a checkpoint of SeqTR or Partial-RES.

    Args:
        checkpoint: What the file holds.
        source: The file's name.
        dataset: What it was trained on: decides the config that its own inherits from.
        vocabulary: The words in the original's order; None leaves those of that config.
        which: ``'ema'`` or ``'raw'`` weights; None takes the moving average if there is one.

    Returns:
        The conversion; ask its ``report`` whether it is complete before writing it.

    Raises:
        UserInputError: If it is not such a checkpoint, or the vocabulary has another size.
    """
    state, weights = read_weights(checkpoint, source, which)
    network = recognise(state, source)
    base = base_config(network, dataset)
    if vocabulary is not None and len(vocabulary) != network.num_words:
        raise UserInputError.of(
            source,
            f'word vectors of {network.num_words} words',
            f'{len(vocabulary)}, as in the vocabulary',
            'give the token_to_ix.pkl, or the annotation file, that it was trained with',
        )
    expected = expected_of(inherit(base, settings(network, base, None)), network.num_words)
    report = convert_state(state, network, expected)
    return SeqTRConversion(report, network, weights, base, vocabulary, Path(source).name)
