"""Whether training can go on from what a checkpoint holds besides weights."""

from collections.abc import Mapping
from typing import Any

from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

from ...utils.errors import Problem

RESUMABLE = 'a checkpoint that training can resume from'
TODO = 'resume from latest.pth, or start anew from these weights with --load-from'
# Names that tell optimizers apart; the others came and went with torch's versions.
SETTINGS = {'alpha', 'betas', 'dampening', 'etas', 'lambd', 'lr_decay', 'momentum', 'momentum_decay', 'rho'}
LOGGED = ('log_scalars', 'runtime_info', 'resumed_keys')


def resume_problem(runner: Runner, checkpoint: Mapping[str, Any]) -> Problem | None:
    """What stands in the way of ``--resume``, or None.

    Args:
        runner: That trains; its optimizer is built.
        checkpoint: What the file holds.
    """
    if 'optimizer' not in checkpoint:
        return Problem('weights without the state of the optimizer', RESUMABLE, TODO)
    found = (
        _of_progress(checkpoint)
        or _of_schedulers(checkpoint.get('param_schedulers', []))
        or _of_optimizer(runner.optim_wrapper, checkpoint['optimizer'])
    )
    return Problem(found, RESUMABLE, TODO) if found else None


def _of_progress(checkpoint: Mapping[str, Any]) -> str | None:
    """Where the run was."""
    meta = checkpoint.get('meta') or {}
    for name in ('epoch', 'iter'):
        value = meta.get(name)
        if not _is_count(value):
            return f'meta[{name!r}] = {value!r}, which is no number of {name}s'
    if not isinstance(meta.get('seed', 0), int | None):
        return f"meta['seed'] = {meta['seed']!r}, which is no number"
    hub = checkpoint.get('message_hub')
    if not isinstance(hub, Mapping) or not all(isinstance(hub.get(name), Mapping) for name in LOGGED):
        return 'no log of the run (message_hub)'
    return None


def _of_schedulers(states: Any) -> str | None:
    """Of learning rates: a list, or one for each of several optimizers."""
    lists = list(states.values()) if isinstance(states, Mapping) else [states]
    for state in lists:
        if not isinstance(state, list) or not all(isinstance(one, Mapping) for one in state):
            return 'param_schedulers that are no list of states'
        if not all(_is_count(one.get('last_step', 0)) for one in state):
            return 'a scheduler whose last_step is no number'
    return None


def _of_optimizer(wrapper: Any, state: Any) -> str | None:
    """What differs from the run's own optimizer."""
    if not isinstance(state, Mapping):
        return f'an optimizer that is a {type(state).__name__}'
    if not isinstance(wrapper, OptimWrapper):  # several, by name
        return None
    ours, theirs = wrapper.optimizer.param_groups, state.get('param_groups')
    if not isinstance(theirs, list) or not isinstance(state.get('state'), Mapping):
        return 'an optimizer without param_groups and state'
    if not all(isinstance(group, Mapping) and isinstance(group.get('params'), list) for group in theirs):
        return 'an optimizer whose param_groups name no params'
    sizes = [[len(group['params']) for group in groups] for groups in (theirs, ours)]
    if sizes[0] != sizes[1]:
        counts = [f'{sum(size)} parameters in {len(size)} groups' for size in sizes]
        return f'the optimizer of another model ({counts[0]}, this config has {counts[1]})'
    for group, own in zip(theirs, ours, strict=True):
        differ = sorted((group.keys() ^ own.keys()) & SETTINGS)
        if differ:
            return (
                f'another optimizer than the {type(wrapper.optimizer).__name__} of this config ({differ[0]})'
            )
    return _of_moments(ours, theirs, state['state'])


def _of_moments(ours: list, theirs: list, states: Mapping) -> str | None:
    """What an optimizer keeps of each parameter has the parameter's shape."""
    for group, own in zip(theirs, ours, strict=True):
        for index, parameter in zip(group['params'], own['params'], strict=True):
            kept = states.get(index, {})
            if not isinstance(kept, Mapping):
                return f'an optimizer whose state of parameter {index} is a {type(kept).__name__}'
            for name in ('exp_avg', 'exp_avg_sq', 'momentum_buffer'):
                shape = getattr(kept.get(name), 'shape', None)
                if kept.get(name) is not None and shape != parameter.shape:
                    return (
                        f'an optimizer whose {name} of parameter {index} has another shape than the parameter'
                    )
    return None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
