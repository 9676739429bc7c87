"""Batch norm over several processes, where there are several."""

from typing import Any

import torch
from mmengine.config import Config

SYNC_TYPES = ('SyncBN', 'MMSyncBN')


def replace_sync_batch_norm(config: Config) -> int:
    """Put BN in place of SyncBN where nothing can be synchronised: on one process, and without a GPU.

    It is the BN that also trains on a single value a channel
    (:class:`mmrefseg.models.layers.small_batch_norm.SmallBatchBN`). Both have the same parameters, so that a
    checkpoint of one is a checkpoint of the other. With several processes on CPUs (gloo) each process takes
    the statistics of its own images: PyTorch synchronises them on GPUs only.

    Args:
        config: Of a run; ``launcher`` says whether there are several processes. ``model`` is changed.

    Returns:
        int: How many norms of the config were replaced.
    """
    if config.get('launcher', 'none') != 'none' and torch.cuda.is_available():
        return 0
    return _replace(config.get('model') or {})


def _replace(node: Any) -> int:
    count = 0
    if isinstance(node, dict):
        if node.get('type') in SYNC_TYPES:
            node['type'] = 'SmallBatchBN'
            count += 1
        count += sum(_replace(value) for value in node.values())
    elif isinstance(node, list | tuple):
        count += sum(_replace(value) for value in node)
    return count
