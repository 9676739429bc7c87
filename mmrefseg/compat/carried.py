"""What a checkpoint carries besides weights, config and classes: what the config takes from files.

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
STOOD_IN = 'encoders_of_checkpoint'
"""In a run's config: the encoders that its checkpoint stood in for, as they were named, by their place."""
MOST_WORDS = 10_000_000
MOST_TOKENIZER = 60_000_000
"""Letters of a tokenizer; one of 256,000 tokens has about half of that."""
SPECIAL_TOKENS = ('bos_token', 'cls_token', 'eos_token', 'mask_token', 'pad_token', 'sep_token', 'unk_token')


def carried_by(checkpoint: Mapping[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """What a checkpoint carries of the parts of its model that were made from files.

    Args:
        checkpoint: What :func:`load_checkpoint_file` returns.
        where: The file, for the message.

    Returns:
        Dotted place in the model -> what its ``carried()`` returned: ``config`` (arguments that stand in for
        those which name files; :data:`HERE` is the checkpoint), and of a language model ``words`` (list of
        text, in the order of the embedding's rows), ``tokenizer`` (its name) and ``max_tokens``, or
        ``tokenizer_json`` (what the library ``tokenizers`` writes) and ``special_tokens``.

    Raises:
        UserInputError: If it is there and of another kind.
    """
    meta = checkpoint.get('meta') or {}
    metadata = meta.get('safetensors') or {}
    if KEY in metadata:
        found = parse_json(metadata[KEY], where)
    elif {'words', 'tokenizer', 'max_tokens'} <= metadata.keys():  # the weights of the package
        words, tokens = (_parsed(metadata[name], where) for name in ('words', 'max_tokens'))
        part = {'words': words, 'tokenizer': metadata['tokenizer'], 'max_tokens': tokens}
        place = '.'.join(filter(None, (metadata.get('extends_as'), 'language_model')))
        found = {place: {**part, 'config': {'vocabulary': {'file': HERE}}}}
    else:
        found = meta.get(KEY) or {}
    if not isinstance(found, Mapping) or not all(map(_is_sound, found.items())):
        raise UserInputError.of(
            where, 'weights that do not say which words they know', 'a vocabulary', 'name another file'
        )
    return dict(found)


def _parsed(text: str, where: str) -> Any:
    try:
        return parse_json(text, where)
    except UserInputError:
        return None


def _is_sound(item: tuple[Any, Any]) -> bool:
    place, part = item
    if not isinstance(place, str) or not isinstance(part, Mapping):
        return False
    words = part.get('words', ['a'])
    tokenizer, special = part.get('tokenizer_json', ''), part.get('special_tokens', {})
    return (
        isinstance(words, list)
        and 0 < len(words) <= MOST_WORDS
        and all(isinstance(word, str) for word in words)
        and isinstance(part.get('config'), Mapping)
        and not _builds({name: value for name, value in part['config'].items() if name != 'config'})
        and isinstance(part.get('tokenizer', ''), str)
        and type(part.get('max_tokens', 1)) is int
        and isinstance(tokenizer, str)
        and len(tokenizer) <= MOST_TOKENIZER
        and isinstance(special, Mapping)
        and all(name in SPECIAL_TOKENS and isinstance(token, str) for name, token in special.items())
    )


def _builds(node: Any) -> bool:
    """Whether arguments would build something: what may be built is looked at in the config alone.

    ``config``, the fields of an encoder's own config, is left out: these build nothing.
    """
    if isinstance(node, Mapping):
        return bool({'type', '_scope_'} & node.keys()) or any(map(_builds, node.values()))
    return isinstance(node, list | tuple) and any(map(_builds, node))


def vocabulary_in(carried: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The part of :func:`carried_by` that has ``words``; empty where none has."""
    return next((dict(part) for part in carried.values() if 'words' in part), {})


def words_of(path: str | os.PathLike) -> dict[str, Any]:
    """:func:`vocabulary_in` of a file."""
    return vocabulary_in(carried_by({'meta': read_meta(path)}, str(path)))


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


def apply_carried(
    model: dict[str, Any], carried: Mapping[str, Mapping[str, Any]], path: str | os.PathLike
) -> None:
    """Let a model's config take from a checkpoint what it would take from files.

    Args:
        model: Config of the model; changed. A place that it does not have is passed over.
        carried: Of :func:`carried_by`; may be empty.
        path: Where the checkpoint is.
    """
    for place, part in carried.items():
        node: Any = model
        for name in place.split('.'):
            node = node.get(name) if isinstance(node, dict) else None
        if isinstance(node, dict):
            for name, value in part['config'].items():
                node[name] = _filled(value, path)  # a config's own update() would merge the two


def _filled(value: Any, path: str | os.PathLike) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(each, path) for key, each in value.items()}
    return str(path) if value == HERE else copy.deepcopy(value)


def as_metadata(meta: Mapping[str, Any]) -> dict[str, str]:
    """What a checkpoint's ``meta`` says of config, words and classes, as safetensors keeps it: texts."""
    kept = {'cfg': meta.get('cfg'), KEY: meta.get(KEY), 'dataset_meta': meta.get('dataset_meta')}
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in kept.items() if value
    }
