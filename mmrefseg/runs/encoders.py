"""Encoders whose folders are not there: a checkpoint that carries them stands in."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmdet.registry import MODELS

from ..compat.carried import STOOD_IN, apply_carried, carried_by
from ..compat.config_text import read_config_text
from ..models.hugging_face import find_model
from ..utils import UserInputError


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
                note_encoders(config, {place: {name: node.get(name) for name in names}})
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


def note_encoders(config: dict[str, Any], encoders: Mapping[str, Any]) -> None:
    """Write into a run's config which encoders a checkpoint stood in for: place -> as they were named."""
    if encoders:
        config[STOOD_IN] = {**(config.get(STOOD_IN) or {}), **encoders}
