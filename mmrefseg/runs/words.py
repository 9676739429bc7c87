"""Which words a run knows: those of its data, or those that the checkpoint carries which it starts from."""

from collections.abc import Iterator
from typing import Any, Literal

from ..compat.carried import apply_carried, carried_by, read_meta, vocabulary_in
from .encoders import absent_encoders, encoders_named, note_encoders, take_encoders


def take_words(config: dict[str, Any], checkpoint: str, how: Literal['extend', 'keep', 'replace']) -> None:
    """Let the language model of a config know the words of a checkpoint, in the checkpoint's order.

    A model whose config names files (annotations, a vocabulary) would else give word vectors other words than
    they were learned for, wherever these files are others than at its training, or not there at all.

    Args:
        config: Of the run; ``model`` is changed, unless the checkpoint carries nothing.
        checkpoint: A file or the address of weights inside the package.
        how: ``'extend'`` adds the words of the config's own vocabulary behind them (to train on other data),
            and takes those encoders from the checkpoint whose folders are not there, see
            :func:`take_encoders`; ``'keep'`` adds none (to resume), ``'replace'`` also takes the checkpoint's
            vectors in place of those that the config names (to test). Both take encoders' configs and
            tokenizers from it.
    """
    model = config.get('model')
    if not isinstance(model, dict):
        return
    absent = dict(absent_encoders(model)) if how == 'extend' else {}
    if how == 'extend' and not absent and not any(language_models(model)):
        return
    meta = read_meta(checkpoint)
    carried = carried_by({'meta': meta}, checkpoint)
    if how == 'replace':
        apply_carried(model, carried, checkpoint)
        return
    if how == 'keep':  # an encoder and its tokenizer are those that are being trained
        own = encoders_named(meta, checkpoint)
        encoders = {place: part for place, part in carried.items() if 'words' not in part}
        note_encoders(config, {place: own[place] for place in encoders if place in own})
        apply_carried(model, encoders, checkpoint)
    else:
        take_encoders(config, absent, meta, checkpoint)
    for _, node in language_models(model) if vocabulary_in(carried) else ():
        size = vocabulary_in(carried)['config'].get('embed_dims')
        if how == 'keep' and size and node.get('vectors') is not None:
            # the checkpoint brings the vectors; any of their size may stand here, frozen or not
            node['vectors'] = f'random:{size}'
        if 'vocabulary' in node:
            vocabulary = {'file': str(checkpoint)} if how == 'keep' else {**node['vocabulary']}
            node['vocabulary'] = vocabulary | ({'extends': str(checkpoint)} if how == 'extend' else {})


def language_models(node: Any, place: str = '') -> Iterator[tuple[str, dict[str, Any]]]:
    """The parts of a model that read sentences.

    Args:
        node: Config of the model, which may have others within (a refiner's ``segmentor``).
        place: What stands before the names.

    Yields:
        Dotted place in the model, and the config that stands there.
    """
    if isinstance(node, dict):
        for key, value in node.items():
            name = f'{place}.{key}' if place else key
            if key == 'language_model' and isinstance(value, dict):
                yield name, value
            else:
                yield from language_models(value, name)
