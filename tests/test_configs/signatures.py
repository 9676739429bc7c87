"""Every ``type`` of a config against the registry and the signature that it will meet."""

import inspect
from collections.abc import Iterator
from typing import Any

from mmcv import ops
from mmdet import registry as mmdet_registry

from mmrefseg.models.layers.language_gate import GATES
from mmrefseg.runs.overrides import RUNNER_KEYS

# Which registry builds what lies under a key; deeper keys inherit it.
REGISTRY_OF = {
    'model': 'MODELS',
    'codec': 'TASK_UTILS',
    'init_cfg': 'WEIGHT_INITIALIZERS',
    'dataset': 'DATASETS',
    'pipeline': 'TRANSFORMS',
    'sampler': 'DATA_SAMPLERS',
    'batch_sampler': 'DATA_SAMPLERS',
    'collate_fn': 'FUNCTIONS',
    'val_evaluator': 'METRICS',
    'test_evaluator': 'METRICS',
    'train_cfg': 'LOOPS',
    'val_cfg': 'LOOPS',
    'test_cfg': 'LOOPS',
    'optim_wrapper': 'OPTIM_WRAPPERS',
    'optimizer': 'OPTIMIZERS',
    'param_scheduler': 'PARAM_SCHEDULERS',
    'default_hooks': 'HOOKS',
    'custom_hooks': 'HOOKS',
    'visualizer': 'VISUALIZERS',
    'vis_backends': 'VISBACKENDS',
    'log_processor': 'LOG_PROCESSORS',
}
# The same below a model: parts that detectors build themselves. 'ops' are looked up in mmcv.ops by name.
DETECTOR_PARTS = {
    **dict.fromkeys(('assigner', 'sampler', 'bbox_coder', 'anchor_generator'), 'TASK_UTILS'),
    **dict.fromkeys(('roi_layer', 'nms'), 'ops'),
}
# Transforms that hand what they do not know on to another one.
HAND_ON = dict.fromkeys(('RandomChoiceResize', 'RandomResize', 'ResizeShortestEdge'), 'resize_type')
# Filled in by the code that builds.
GIVEN = {
    'self',
    'dataset',
    'sampler',
    'batch_size',
    'runner',
    'dataloader',
    'evaluator',
    'params',
    'optimizer',
}
GIVEN |= {'save_dir', 'embed_dims', 'num_features'}
# By the host code that calls it.
HOST_GIVEN = {'nms': {'boxes', 'scores'}, 'MaskCellHead': {'in_channels'}}


def types_of(config: dict) -> Iterator[tuple[str, str | None, dict]]:
    """Every dict with a ``type`` in what the runner reads: where it is, its registry's name, the dict.

    Other names at the top are variables of the config, which the runner sees where they are used.
    """
    for key, value in config.items():
        if key in RUNNER_KEYS:
            yield from _walk(value, key, REGISTRY_OF.get(key))


def _walk(node: Any, where: str, registry: str | None) -> Iterator[tuple[str, str | None, dict]]:
    if isinstance(node, dict):
        if 'type' in node:
            yield where, registry, node
        for key, value in node.items():
            # The names of hooks are free.
            below = registry if registry == 'HOOKS' else REGISTRY_OF.get(key, registry)
            if where.startswith('model'):
                below = DETECTOR_PARTS.get(key, below)
            yield from _walk(value, f'{where}.{key}', below)
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _walk(value, f'{where}.{index}', registry)


def problem(node: dict, registry: str | None) -> str | None:
    """What is wrong with a ``dict(type=...)``, or None."""
    if registry is None:
        return f'type {node["type"]!r} under a key of no known registry'
    if registry == 'ops':
        found = getattr(ops, node['type'], None)
    else:
        # LanguageSwin's gates are a choice of its own, not a registry's.
        found = GATES.get(node['type']) or getattr(mmdet_registry, registry).get(node['type'])
    if found is None:
        return f'{node["type"]!r} is not in {registry}'
    accepted, required = parameters(found)
    if node['type'] in HAND_ON:
        inner = node.get(HAND_ON[node['type']], 'Resize')
        return problem({**{k: v for k, v in node.items() if k not in accepted}, 'type': inner}, registry)
    if node['type'] == 'EMAHook':  # hands what it does not know on to the averaged model
        accepted |= parameters(mmdet_registry.MODELS.get(node['ema_type']))[0]
    if 'num_features' in required:  # a norm: mmcv reads this and hands the rest on
        accepted.add('requires_grad')
    if node['type'] in GATES:
        required -= {'channels', 'language_channels'}
    if registry == 'OPTIM_WRAPPERS':  # read by build_optim_wrapper
        accepted |= {'paramwise_cfg', 'constructor'}
    if registry == 'PARAM_SCHEDULERS':  # read by the runner
        accepted.add('convert_to_iter_based')
    if registry == 'WEIGHT_INITIALIZERS':  # read by mmengine's initialize
        accepted.add('override')
    unknown = node.keys() - accepted - {'type', '_scope_'}
    missing = required - node.keys() - GIVEN - HOST_GIVEN.get(node['type'], set())
    if unknown or missing:
        return f'{node["type"]}: unknown arguments {sorted(unknown)}, missing {sorted(missing)}'
    return None


def parameters(built: Any) -> tuple[set[str], set[str]]:
    """The arguments that a class takes (its parents' too, where it passes ``**kwargs`` on), and must get."""
    if not inspect.isclass(built):
        arguments = inspect.signature(built).parameters.values()
        return {a.name for a in arguments}, {a.name for a in arguments if a.default is a.empty}
    inits = [vars(base)['__init__'] for base in inspect.getmro(built) if '__init__' in vars(base)]
    accepted: set[str] = set()
    required: set[str] | None = None
    for init in inits:
        arguments = inspect.signature(init).parameters.values()
        named = [a for a in arguments if a.kind not in (a.VAR_KEYWORD, a.VAR_POSITIONAL)]
        accepted |= {a.name for a in named}
        if required is None:
            required = {a.name for a in named if a.default is a.empty}
        if not any(a.kind is a.VAR_KEYWORD for a in arguments):
            break
    return accepted - {'self'}, required or set()
