"""From a config file and options to a runner that can start."""

from ..compat import quick_mmdet  # noqa: F401  isort: skip  (before anything imports mmdet)
import gc
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config
from mmengine.dist import is_distributed
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader

from ..compat.checkpoint import load_checkpoint_file
from ..compat.downloads import read_downloads_safely
from ..models.acceleration import accelerate
from ..utils.errors import UserInputError
from ..utils.files import is_zip
from ..utils.outputs import check_output, make_folder
from ..utils.places import is_shipped, shipped_weights
from .batch_norm import replace_sync_batch_norm
from .config_values import check_values
from .loggers import check_packages
from .options import check_config
from .overrides import read_config
from .terminal import TerminalRunner
from .words import take_words


def load_config(path: str, options: dict[str, Any] | None = None) -> Config:
    """Read a config file and replace settings in it.

    Args:
        path: A config file (.py, .json, .yaml).
        options: ``{'a.b.c': value}``, as from ``--cfg-options``.

    Raises:
        UserInputError: If the file is missing or wrong, or an option fits nothing in it.
    """
    check_config(path)
    config = read_config(path, options or {})
    _drop_absent_hooks(config)
    return config


def set_work_dir(config: Config, path: str, work_dir: str | None = None) -> None:
    """The folder of the run: the option, else the config's own, else ``work_dirs/<name of the config>``.

    Raises:
        UserInputError: If it cannot be written.
    """
    if work_dir is not None:
        config.work_dir = work_dir
    elif config.get('work_dir') is None:
        config.work_dir = os.path.join('work_dirs', Path(path).stem)
    check_output(config.work_dir, 'work_dir', folder=True)


def set_terminal(config: Config, full_log: bool) -> None:
    """Print all of the log if a flag says so; else what the config says."""
    if full_log:
        config.terminal_log = 'full'


def set_seed(config: Config, seed: int | None, deterministic: bool = False) -> None:
    """Seed the run and the drawing of expressions and augmentations in its training data.

    Raises:
        UserInputError: If numpy could not be seeded with it, or with the config's own.
    """
    randomness = dict(config.get('randomness') or {})
    if seed is not None:
        randomness['seed'] = seed
        for dataset in innermost_datasets(config.get('train_dataloader')):
            if dataset.get('type') == 'RefSegDataset':
                dataset['seed'] = seed
    if deterministic:
        randomness['deterministic'] = True
    chosen = randomness.get('seed')
    if chosen is not None and not (isinstance(chosen, int) and 0 <= chosen < 2**32):
        where, expected = 'randomness.seed (--seed)', 'a whole number from 0 to 2**32 - 1'
        raise UserInputError.of(where, repr(chosen), expected, 'choose another')
    if randomness:
        config.randomness = randomness


def innermost_datasets(dataloader: dict | None) -> list[dict]:
    """The dataset configs of a data loader, inside any wrapper (``dataset=``) or union (``datasets=``)."""
    pending, found = [(dataloader or {}).get('dataset')], []
    while pending:
        dataset = pending.pop(0)
        if not isinstance(dataset, dict):
            continue
        inner = [dataset['dataset']] if 'dataset' in dataset else list(dataset.get('datasets', ()))
        pending.extend(inner)
        if not inner:
            found.append(dataset)
    return found


def set_amp(config: Config) -> None:
    """Mixed precision with a dynamic loss scale.

    Raises:
        UserInputError: Without a GPU.
    """
    if not torch.cuda.is_available():
        raise UserInputError.of('--amp', 'no GPU', 'a GPU', 'leave the option out')
    config.optim_wrapper.type = 'AmpOptimWrapper'
    config.optim_wrapper.loss_scale = 'dynamic'


def set_auto_scale_lr(config: Config) -> None:
    """Scale the learning rate by the batch size.

    Raises:
        UserInputError: If the config does not say for which batch size its learning rate was chosen.
    """
    if 'base_batch_size' not in (config.get('auto_scale_lr') or {}):
        raise UserInputError.of(
            '--auto-scale-lr',
            'no auto_scale_lr.base_batch_size in the config',
            'the batch size that the learning rate was chosen for',
            'set auto_scale_lr = dict(base_batch_size=...)',
        )
    config.auto_scale_lr.enable = True


def start_from(config: Config, checkpoint: str | None, training: bool = False) -> None:
    """Start from the weights of ``checkpoint``, or of the config's ``load_from``, which must be there.

    Words that the checkpoint carries are those of the run (:func:`take_words`).

    Args:
        config: Of the run; changed.
        checkpoint: A file, an address, or None.
        training: Whether the run trains: its vocabulary then extends the checkpoint's.

    Raises:
        UserInputError: If there is no such file, or no such weights in the package.
    """
    if checkpoint is not None:
        config.load_from = checkpoint
    source = config.get('load_from')
    if source and is_shipped(source):
        shipped_weights(source)
    if source and (is_shipped(source) or Path(source).is_file()):
        take_words(config, source, 'extend' if training else 'replace')
    if not source or '://' in source or Path(source).is_file():
        return
    todo = 'check the path'
    if checkpoint is None:
        stage = Path(source).parent.name
        todo = f'train the stage that writes it ({stage}) first, or give --load-from CHECKPOINT'
    raise UserInputError.of(f'load_from {source}', 'no such file', 'a checkpoint', todo)


def resume_from(config: Config, resume: str | None) -> bool:
    """Resume a run.

    Args:
        config: Of the run; ``work_dir`` is set.
        resume: ``'auto'`` goes on from the newest whole checkpoint in the work directory, where there is one;
            a path goes on from that file; None leaves it to the config.

    Returns:
        bool: Whether there is something to go on from. If not, the run begins, with its ``load_from``.

    Raises:
        UserInputError: If the path is not a file.
    """
    if resume is None and not config.get('resume'):
        return False
    if resume is None and config.get('load_from'):
        return True
    if resume in (None, 'auto'):
        newest = newest_checkpoint(config.work_dir)
        config.resume = newest is not None
        config.load_from = str(newest) if newest else config.get('load_from')
        if newest:
            take_words(config, config.load_from, 'keep')
        return config.resume
    if not Path(resume).is_file() and '://' not in resume:
        raise UserInputError.of(f'--resume {resume}', 'no such file', 'a checkpoint', 'check the path')
    config.resume = True
    config.load_from = resume
    if '://' not in resume:
        take_words(config, resume, 'keep')
    return True


def newest_checkpoint(work_dir: str | os.PathLike) -> Path | None:
    """The newest checkpoint in a folder that was written to its end.

    The file that mmengine's ``last_checkpoint`` names comes first, then the
    others by time: a run that was killed while it wrote has a truncated one.
    """
    folder = Path(work_dir)
    candidates = sorted(
        (path for pattern in ('epoch_*.pth', 'iter_*.pth') for path in folder.glob(pattern)),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    noted = folder / 'last_checkpoint'
    if (folder / 'latest.pth').is_file():  # the last was removed, and the next not written yet
        candidates.append(folder / 'latest.pth')
    if noted.is_file():
        # The note holds a path as seen from where training was started; the file lies beside the note.
        last = folder / Path(noted.read_text(encoding='utf-8').strip()).name
        candidates = [last, *(path for path in candidates if path != last)]
    return next((path for path in candidates if path.is_file() and is_zip(path)), None)


def choose_backend(config: Config) -> None:
    """Let several processes run without a GPU: gloo in place of nccl, and no device for the wrapped model.

    Raises:
        UserInputError: For a launcher other than torchrun without a GPU.
    """
    if config.get('launcher', 'none') == 'none':
        return
    distributed = dict((config.get('env_cfg') or {}).get('dist_cfg') or {})
    if torch.cuda.is_available():
        config.merge_from_dict({'env_cfg.dist_cfg': {'backend': 'nccl', **distributed}})
        return
    if config.launcher != 'pytorch':
        raise UserInputError.of(
            f'--launcher {config.launcher}',
            'no GPU',
            'GPUs',
            'use tools/dist_train.sh, which also runs on CPUs',
        )
    config.merge_from_dict({'env_cfg.dist_cfg': {**distributed, 'backend': 'gloo'}})
    config.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel',
        'find_unused_parameters': config.get('find_unused_parameters', False),
        'broadcast_buffers': False,
        **(config.get('model_wrapper_cfg') or {}),
        'device_ids': None,
    }
    if not is_distributed():
        # mmengine's own start selects a CUDA device first.
        timeout = distributed.get('timeout')
        torch.distributed.init_process_group(
            'gloo', timeout=timedelta(seconds=timeout) if timeout is not None else None
        )


def build_runner(config: Config) -> Runner:
    """The runner of a finished config, reading checkpoints with the package's own messages.

    Its model is accelerated (:func:`accelerate`), unless the config says ``accelerate = False``.

    Raises:
        UserInputError: If the config defines no model, if one of its numbers is none that works
            (:func:`check_values`), or if its launcher cannot work here.
    """
    if 'model' not in config:
        raise UserInputError.of(
            str(config.filename), 'no model', 'the config of a run', 'choose one that is not a _base_ part'
        )
    check_values(config)
    backends = (config.get('visualizer') or {}).get('vis_backends') or []
    check_packages((backend.get('type') for backend in backends), 'visualizer.vis_backends')
    setup_cache_size_limit_of_dynamo()
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    read_downloads_safely()
    choose_backend(config)
    replaced = replace_sync_batch_norm(config)
    make_folder(config.work_dir)  # mmengine takes a link to a folder that is yet to be made for a file
    runner = RUNNERS.build(config) if 'runner_type' in config else TerminalRunner.from_cfg(config)
    if replaced:
        runner.logger.info(
            f'SyncBN -> BN in {replaced} places of the config: there is nothing to synchronise.'
        )
    if config.get('accelerate', True):
        accelerate(runner.model)
    return runner


def close_processes() -> None:
    """Take the process group down in order, once all processes are done and nothing holds the runner.

    A model for several processes holds the group, whose threads run as long as it is held. One that still
    lets go of the last collective's tensors while Python ends takes the process down (``terminate called
    without an active exception``).
    """
    if is_distributed():
        gc.collect()  # runner and model hold each other
        torch.distributed.destroy_process_group()


def load_from_local(filename: str, map_location: Any = 'cpu') -> dict:
    """mmengine's loader of local files (it shows the name after ``load_from_`` in its log)."""
    return load_checkpoint_file(os.path.expanduser(filename), map_location=map_location)


def _drop_absent_hooks(config: Config) -> None:
    """``default_hooks.x=None`` takes a hook away; mmengine allows that for its own six only."""
    hooks = config.get('default_hooks') or {}
    own = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')
    for name in [name for name, hook in hooks.items() if hook is None and name not in own]:
        hooks.pop(name)
