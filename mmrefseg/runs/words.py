"""Which words and encoders a run has: its data's and folders', or those that its checkpoint carries."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from mmdet.registry import MODELS

from ..compat.carried import STOOD_IN, apply_carried, carried_by, read_meta, vocabulary_in
from ..compat.config_text import read_config_text
from ..models.hugging_face import find_model
from ..utils import UserInputError


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
        _note(config, {place: own[place] for place in encoders if place in own})
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


def take_encoders(
    config: dict[str, Any], absent: Mapping[str, dict[str, Any]], meta: Mapping[str, Any], checkpoint: str
) -> None:
    """Let a checkpoint stand in for the folders of encoders, if its training had those very encoders.

    These are the same if both configs name them by the same words. What stood in is noted in the run's
    config, so that a checkpoint of this run can stand in as well.

    Args:
        config: Of the run; changed.
        absent: Of :func:`absent_encoders`.
        meta: What the checkpoint says.
        checkpoint: The file.
    """
    carried = carried_by({'meta': meta}, checkpoint)
    own = encoders_named(meta, checkpoint) if absent else {}
    for place, node in absent.items():
        for there, part in carried.items():
            names = ['type', *part['config']]
            if there in own and _as_text(node, names) == _as_text(own[there], names):
                _note(config, {place: {name: node.get(name) for name in names}})
                apply_carried(config['model'], {place: part}, checkpoint)
                break


def absent_encoders(model: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The encoders of a model whose folders are not on this disk.

    Yields:
        Dotted place in the model, and the config that stands there.
    """
    for place, node in _parts(model):
        kind = node.get('type')
        if not isinstance(kind, str) or not hasattr(MODELS.get(kind), 'carried'):
            continue
        name, folder = node.get('model'), node.get('path')  # of Hugging Face, and of BERT
        if isinstance(name, str):
            try:
                find_model(name, kind)
            except UserInputError:
                yield place, node
        elif isinstance(folder, str) and not Path(folder).is_dir():
            yield place, node


def encoders_named(meta: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """The parts of a checkpoint's model as the config of its training named them, by their place.

    Args:
        meta: What the checkpoint says.
        where: The file.

    Returns:
        Empty if it has no config, or one that is no data.
    """
    text = meta.get('cfg') or (meta.get('safetensors') or {}).get('cfg')
    with contextlib.suppress(UserInputError):
        config = read_config_text(text, where)
        parts = dict(_parts(config['model'])) if isinstance(config.get('model'), dict) else {}
        noted = config.get(STOOD_IN)
        return {**parts, **(noted if isinstance(noted, dict) else {})}
    return {}


def _parts(node: Any, place: str = '') -> Iterator[tuple[str, dict[str, Any]]]:
    """Dotted place and content of each dict in a model's config."""
    for key, value in node.items():
        if isinstance(value, dict):
            name = f'{place}.{key}' if place else str(key)
            yield name, value
            yield from _parts(value, name)


def _as_text(node: Any, names: list[str]) -> str:
    """Some settings, comparable: a text has lists where a config has tuples."""
    settings = {name: node.get(name) for name in names} if isinstance(node, Mapping) else node
    return json.dumps(settings, sort_keys=True, default=str)


def _note(config: dict[str, Any], encoders: dict[str, Any]) -> None:
    if encoders:
        config[STOOD_IN] = {**(config.get(STOOD_IN) or {}), **encoders}


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
