"""Words: checkpoints carry those of their model, and a run says once which words its model does not know."""

from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from ...compat.carried import KEY


def _model(runner: Runner) -> nn.Module:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


@HOOKS.register_module()
class SelfContainedHook(Hook):
    """Put into each checkpoint what its config takes from files, so that it runs where these are not.

    A part of the model says what that is by ``carried()``: ``config``, the arguments that then stand in for
    those that name files, and of a language model its ``words``. mmengine puts the config's text and the
    classes there by itself.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write ``meta['mmrefseg']``."""
        parts = {name: part for name, part in _model(runner).named_modules() if hasattr(part, 'carried')}
        if parts:
            checkpoint['meta'][KEY] = {name: part.carried() for name, part in parts.items()}


@HOOKS.register_module()
class UnknownWordsHook(Hook):
    """Say once for each kind of data (train, val, test) which words the model does not know, or does not see.

    A model with a fixed vocabulary reads every other word as the same "unknown" one, and every model cuts
    sentences that are too long for it. It also says where words that a training adds to a checkpoint's cannot
    be learned, as their table is frozen.
    """

    def __init__(self) -> None:
        self.said: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """After what freezes parts of the model."""
        for name, module in _model(runner).named_modules():
            added = getattr(getattr(module, 'vocabulary', None), 'added', ())
            own = dict(module.named_parameters())  # a part may be left out, as WordHead's classifier
            tables = [own[tensor] for tensor in getattr(module, 'word_rows', ())[:1] if tensor in own]
            if added and tables and not tables[0].requires_grad and runner.rank == 0:
                runner.logger.warning(
                    f'{len(added)} words are new to the checkpoint ({_some(list(added))}), but {name} is '
                    'frozen in this run: they stay as they start; train it too to learn them'
                )

    def before_train_epoch(self, runner: Runner) -> None:
        """Start counting."""
        self._start(runner)

    def before_val_epoch(self, runner: Runner) -> None:
        """Start counting."""
        self._start(runner)

    def before_test_epoch(self, runner: Runner) -> None:
        """Start counting."""
        self._start(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Tell."""
        self._tell(runner, 'train')

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Tell."""
        self._tell(runner, 'val')

    def after_test_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Tell."""
        self._tell(runner, 'test')

    def _start(self, runner: Runner) -> None:
        for usage in word_usages(_model(runner)):
            usage.clear()
        for cuts in sentence_cuts(_model(runner)):
            cuts.clear()

    def _tell(self, runner: Runner, data: str) -> None:
        model = _model(runner)
        notable: list[Any] = [usage for usage in word_usages(model) if usage.unknown]
        notable += [cuts for cuts in sentence_cuts(model) if cuts.cut]
        for each in notable:
            kind = f'{data} {type(each).__name__}'
            if runner.rank == 0 and kind not in self.said:
                runner.logger.warning(f'{data}: {each}')
                self.said.add(kind)


def word_usages(model: nn.Module) -> list[Any]:
    """What counts the words that a model's vocabularies read, each a ``WordUsage``."""
    parts = (getattr(module, 'vocabulary', None) for module in model.modules())
    return [vocabulary.usage for vocabulary in parts if hasattr(vocabulary, 'usage')]


def sentence_cuts(model: nn.Module) -> list[Any]:
    """What counts the sentences that a model's vocabularies and tokenizers read, each a ``SentenceCuts``."""
    parts = [(module, getattr(module, 'vocabulary', None)) for module in model.modules()]
    found = {id(part.cuts): part.cuts for pair in parts for part in pair if hasattr(part, 'cuts')}
    return [*found.values()]


def move_word_rows(model: nn.Module, state: dict[str, Any], words: list[str]) -> tuple[list[str], list[str]]:
    """Bring the rows of a checkpoint's tensors that stand for words to the places of these words in a model.

    A module names its tensors with a row for each word in ``word_rows``. The row of a word that the
    checkpoint does not know is the model's own, as it starts.

    Args:
        model: Its vocabulary may have more words than the checkpoint's, in another order.
        state: Name -> tensor of the checkpoint; changed.
        words: Of the checkpoint, in the order of the rows.

    Returns:
        The model's words that are new to the checkpoint, and the checkpoint's that the model does not have.
    """
    vocabulary = next((part.vocabulary for part in model.modules() if hasattr(part, 'vocabulary')), None)
    if vocabulary is None or vocabulary.words == words:
        return [], []
    own = model.state_dict()
    pairs = [(vocabulary.index[word], row) for row, word in enumerate(words) if word in vocabulary.index]
    here, there = (torch.tensor(rows, dtype=torch.long) for rows in zip(*pairs, strict=True))
    for name, module in model.named_modules():
        for tensor in getattr(module, 'word_rows', ()):
            key = f'{name}.{tensor}' if name else tensor
            given = state.get(key)
            if key in own and isinstance(given, torch.Tensor) and len(given) == len(words):
                moved = own[key].detach().clone().to(given)
                if moved.shape[1:] == given.shape[1:]:
                    moved[here] = given[there]
                    state[key] = moved
    known = set(words)
    return [word for word in vocabulary.words if word not in known], [w for w in words if w not in vocabulary]


def describe_words(new: list[str], gone: list[str], words: list[str]) -> str:
    """What :func:`move_word_rows` did, as a line of the log."""
    parts = [f'{len(words) - len(gone)} of the {len(words)} words of the checkpoint keep what they mean']
    if new:
        parts.append(f'{len(new)} are new and start as any word does: {_some(new)}')
    if gone:
        parts.append(f'{len(gone)} are not in this vocabulary: {_some(gone)}')
    return 'vocabulary: ' + '; '.join(parts)


def _some(words: list[str], most: int = 10) -> str:
    more = f' and {len(words) - most} more' if len(words) > most else ''
    return ', '.join(words[:most]) + more
