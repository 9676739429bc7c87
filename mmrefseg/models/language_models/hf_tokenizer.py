"""Tokenizers of Hugging Face's ``transformers``: from a folder, or from a checkpoint that carries one.

A checkpoint may come from anybody. Of a tokenizer it carries what the library ``tokenizers`` writes of it,
one json text, and the names of special tokens: no class is named, no code is run, no other file is read.
"""

import json
from pathlib import Path
from typing import Any

from ...compat.carried import MOST_TOKENIZER, SPECIAL_TOKENS, carried_by, read_meta
from ...utils import UserInputError, parse_json
from ...utils.errors import short
from ...utils.places import is_shipped
from ..hugging_face import find_model

TOKENIZER_FILES = ('tokenizer.json', 'vocab.txt', 'vocab.json', '*.model')
TOKENIZER_ADVICE = "copy the model's whole folder, or name another with tokenizer="


def find_tokenizer(source: str, pad_token: str | None, where: str):
    """A tokenizer from a folder, from the cache, or from a checkpoint.

    Args:
        source: A folder, which may have no model; the name of a model in Hugging Face's cache; or a
            checkpoint, a file or the address of weights inside the package.
        pad_token: Used where the tokenizer names none; one of its tokens.
        where: What asks for it, for errors.

    Returns:
        ``transformers.PreTrainedTokenizerBase`` that pads at the end.

    Raises:
        UserInputError: If there is none, or it cannot pad.
    """
    path = Path(source).expanduser()
    if is_shipped(source) or path.is_file():
        tokenizer, place = _from_checkpoint(source, where), f'{where}: checkpoint {source}'
    else:
        folder = path if path.is_dir() else find_model(source, 'HFTextEncoder')
        tokenizer, place = _from_folder(folder, where), f'{where}: folder {folder}'
    tokenizer.padding_side = 'right'
    if pad_token is not None and tokenizer.pad_token is None:
        number = tokenizer.convert_tokens_to_ids(pad_token) if isinstance(pad_token, str) else None
        if number in (None, tokenizer.unk_token_id):
            raise UserInputError.of(
                where, f'pad_token={pad_token!r}', 'a token that the tokenizer knows', 'name another'
            )
        tokenizer.pad_token = pad_token
    if tokenizer.pad_token is None:
        raise UserInputError.of(
            place,
            'a tokenizer without pad token',
            'one, to put sentences of different lengths in a batch',
            f'name one of its tokens, for example pad_token={tokenizer.eos_token or tokenizer.unk_token!r}',
        )
    return tokenizer


def _from_folder(folder: Path, where: str):
    from transformers import AutoTokenizer

    # transformers makes a tokenizer without words where there is no file
    if not any(found for name in TOKENIZER_FILES for found in folder.glob(name)):
        raise UserInputError.of(
            f'{where}: folder {folder}', 'no tokenizer', 'tokenizer.json', TOKENIZER_ADVICE
        )
    # What goes wrong depends on the kind of tokenizer, its file and the packages that it needs.
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise UserInputError.of(
            f'{where}: folder {folder}',
            f'no tokenizer that can be read ({short(str(error))})',
            'tokenizer.json',
            TOKENIZER_ADVICE,
        ) from error


def _from_checkpoint(checkpoint: str, where: str):
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    carried = carried_by({'meta': read_meta(checkpoint)}, checkpoint)
    part = next((part for part in carried.values() if 'tokenizer_json' in part), None)
    if part is None:
        raise UserInputError.of(
            f'{where}: checkpoint {checkpoint}',
            'no tokenizer in it',
            'one that carries its own',
            "name the folder of its model's tokenizer with tokenizer=",
        )
    try:
        backend = Tokenizer.from_str(part['tokenizer_json'])
        backend.no_padding()  # how long sentences are is the encoder's matter
        backend.no_truncation()
        return PreTrainedTokenizerFast(tokenizer_object=backend, **part.get('special_tokens', {}))
    except Exception as error:
        raise UserInputError.of(
            f'{where}: checkpoint {checkpoint}',
            f'no tokenizer that can be read ({short(str(error))})',
            'what the library tokenizers writes',
            'take another checkpoint',
        ) from error


def carried_tokenizer(tokenizer) -> dict[str, Any]:
    """What a checkpoint carries of a tokenizer.

    Args:
        tokenizer: Of :func:`find_tokenizer`.

    Returns:
        ``tokenizer_json`` and ``special_tokens``; nothing of a tokenizer that the library ``tokenizers``
        does not know, or of one too large to be read again (:data:`MOST_TOKENIZER`).
    """
    backend = getattr(tokenizer, 'backend_tokenizer', None)
    if not hasattr(backend, 'to_str'):
        return {}
    # what it was last told of lengths is not a part of it
    content = {**parse_json(backend.to_str(), 'tokenizer'), 'padding': None, 'truncation': None}
    text = json.dumps(content, ensure_ascii=False)
    if len(text) > MOST_TOKENIZER:
        return {}
    named = {name: getattr(tokenizer, name, None) for name in SPECIAL_TOKENS}
    return {
        'tokenizer_json': text,
        'special_tokens': {name: str(token) for name, token in named.items() if token is not None},
    }
