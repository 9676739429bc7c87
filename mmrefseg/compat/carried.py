"""What a checkpoint carries besides weights and config: the words of its language model, and its classes.

A config names files: annotations whose words are the vocabulary, word vectors, the folder of a BERT. A
checkpoint has what it took from them: word vectors among its weights, the words in ``meta['mmrefseg']``.
So it runs where those files are not. In a ``.safetensors`` file the same stands in the metadata as json.
"""

import contextlib
import copy
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..utils import UserInputError, parse_json
from ..utils.places import is_shipped, shipped_weights
from .checkpoint import check_parts, load_checkpoint_file

KEY = 'mmrefseg'
HERE = '{checkpoint}'
"""In the settings that a checkpoint carries: the path of the checkpoint itself."""
MOST_WORDS = 10_000_000


def carried_by(checkpoint: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What a checkpoint carries of its language model.

    Args:
        checkpoint: What :func:`load_checkpoint_file` returns.
        where: The file, for the message.

    Returns:
        Empty, or ``words`` (list of text, in the order of the embedding's rows), ``tokenizer`` (its name),
        ``max_tokens``, ``at`` (the language model's place in the model, dotted) and ``config`` (arguments
        that stand in for those which name files; :data:`HERE` is the checkpoint).

    Raises:
        UserInputError: If it is there and of another kind.
    """
    meta = checkpoint.get('meta') or {}
    metadata = meta.get('safetensors') or {}
    if KEY in metadata:
        found = parse_json(metadata[KEY], where)
    elif {'words', 'tokenizer', 'max_tokens'} <= metadata.keys():  # the weights of the package
        words, tokens = (_parsed(metadata[name], where) for name in ('words', 'max_tokens'))
        found = {'words': words, 'tokenizer': metadata['tokenizer'], 'max_tokens': tokens}
        found |= {'at': 'language_model', 'config': {'vocabulary': {'file': HERE}}}
    else:
        found = meta.get(KEY) or {}
    if found and not _is_sound(found):
        raise UserInputError.of(
            where, 'weights that do not say which words they know', 'a vocabulary', 'name another file'
        )
    return dict(found)


def _parsed(text: str, where: str) -> Any:
    try:
        return parse_json(text, where)
    except UserInputError:
        return None


def _is_sound(found: Any) -> bool:
    if not isinstance(found, Mapping):
        return False
    words, config = found.get('words'), found.get('config')
    return (
        isinstance(words, list)
        and 0 < len(words) <= MOST_WORDS
        and all(isinstance(word, str) for word in words)
        and isinstance(config, Mapping)
        and all(isinstance(found.get(name), str) for name in ('tokenizer', 'at'))
        and type(found.get('max_tokens')) is int
    )


def words_of(path: str | os.PathLike) -> dict[str, Any]:
    """:func:`carried_by` of a file; empty where it carries none."""
    return carried_by({'meta': read_meta(path)}, str(path))


def read_meta(path: str | os.PathLike) -> dict[str, Any]:
    """What a checkpoint says besides its weights, which are left on the disk.

    Raises:
        UserInputError: As of :func:`load_checkpoint_file`.
    """
    file = Path(shipped_weights(str(path)) if is_shipped(path) else path).expanduser()
    with contextlib.suppress(Exception):  # what is wrong with the file is said below
        if file.suffix == '.safetensors':
            from safetensors import safe_open

            with safe_open(file, framework='pt') as opened:
                return {'safetensors': opened.metadata() or {}}
        checkpoint = torch.load(file, map_location='cpu', weights_only=True, mmap=True)
        check_parts(checkpoint, str(path))
        return checkpoint.get('meta') or {}
    return load_checkpoint_file(path).get('meta') or {}


def settings(carried: Mapping[str, Any], path: str | os.PathLike) -> dict[str, Any]:
    """Arguments of the language model that stand in for those which name files.

    Args:
        carried: Of :func:`carried_by`, not empty.
        path: Where the checkpoint is.
    """

    def fill(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: fill(each) for key, each in value.items()}
        return str(path) if value == HERE else copy.deepcopy(value)

    return fill(carried['config'])


def apply_carried(model: dict[str, Any], carried: Mapping[str, Any], path: str | os.PathLike) -> bool:
    """Let a model's config take its words from a checkpoint instead of files.

    Args:
        model: Config of the model; changed.
        carried: Of :func:`carried_by`; may be empty.
        path: Where the checkpoint is.

    Returns:
        bool: Whether the model has a language model where the checkpoint says.
    """
    node: Any = model
    for part in carried['at'].split('.') if carried else ():
        node = node.get(part) if isinstance(node, dict) else None
    if not carried or not isinstance(node, dict):
        return False
    for name, value in settings(carried, path).items():
        node[name] = value  # a config's own update() would merge the two
    return True


def as_metadata(meta: Mapping[str, Any]) -> dict[str, str]:
    """What a checkpoint's ``meta`` says of config, words and classes, as safetensors keeps it: texts."""
    kept = {'cfg': meta.get('cfg'), KEY: meta.get(KEY), 'dataset_meta': meta.get('dataset_meta')}
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in kept.items() if value
    }
