"""Which words a run knows: those of its data, or those that the checkpoint carries which it starts from."""

from collections.abc import Iterator
from typing import Any, Literal

from ..compat.carried import apply_carried, carried_by, read_meta, vocabulary_in


def take_words(config: dict[str, Any], checkpoint: str, how: Literal['extend', 'keep', 'replace']) -> None:
    """Let the language model of a config know the words of a checkpoint, in the checkpoint's order.

    A model whose config names files (annotations, a vocabulary) would else give word vectors other words than
    they were learned for, wherever these files are others than at its training, or not there at all.

    Args:
        config: Of the run; ``model`` is changed, unless the checkpoint carries nothing.
        checkpoint: A file or the address of weights inside the package.
        how: ``'extend'`` adds the words of the config's own vocabulary behind them (to train on other data),
            ``'keep'`` adds none (to resume), ``'replace'`` also takes the checkpoint's vectors in place of
            those that the config names (to test).
    """
    model = config.get('model')
    if not isinstance(model, dict) or (how != 'replace' and not any(_language_models(model))):
        return
    carried = carried_by({'meta': read_meta(checkpoint)}, checkpoint)
    if how == 'replace':
        apply_carried(model, carried, checkpoint)
        return
    for node in _language_models(model) if vocabulary_in(carried) else ():
        size = vocabulary_in(carried)['config'].get('embed_dims')
        if how == 'keep' and size and node.get('vectors') is not None:
            # the checkpoint brings the vectors; any of their size may stand here, frozen or not
            node['vectors'] = f'random:{size}'
        if 'vocabulary' in node:
            vocabulary = {'file': str(checkpoint)} if how == 'keep' else {**node['vocabulary']}
            node['vocabulary'] = vocabulary | ({'extends': str(checkpoint)} if how == 'extend' else {})


def _language_models(node: Any) -> Iterator[dict[str, Any]]:
    """The configs in a config that name words."""
    if isinstance(node, dict):
        if 'language_model' in node and isinstance(node['language_model'], dict):
            yield node['language_model']
        for key, value in node.items():
            if key != 'language_model':
                yield from _language_models(value)
