"""What testing changes in a config: split, submission, images; and what it reports."""

from ..compat import quick_mmdet  # noqa: F401  isort: skip  (before anything imports mmdet)
import argparse
import inspect
import os
from pathlib import Path
from typing import Any

from mmdet.engine.hooks.utils import trigger_visualization_hook
from mmdet.evaluation import DumpDetResults
from mmdet.registry import DATASETS, METRICS
from mmengine.config import Config, ConfigDict
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from rich.table import Table

from ..evaluation.tables import precision_tables
from ..utils import plain_console
from ..utils.errors import UserInputError, did_you_mean
from .config import innermost_datasets
from .options import check_prefix
from .tool_errors import argument_names

PREFIX_OPTION = 'jsonfile_prefix'  # mmdet 2.x's word for outfile_prefix


def change_for_testing(config: Config, args: argparse.Namespace, metric_options: dict[str, Any]) -> None:
    """Bring the options of tools/test.py into a config.

    Args:
        config: Changed.
        args: ``which_set``, ``options``, ``format_only``, ``show``, ``show_dir``, ``tta``.
        metric_options: Arguments of the metric that have a flag of their own.

    Raises:
        UserInputError: If an option fits nothing in the config.
    """
    if args.which_set:
        set_split(config, args.which_set)
    set_metric_options(config, args.options)
    for key, value in metric_options.items():
        set_metric_options(config, {key: value}, flag=f'--{key.replace("_", "-")}: ')
    if args.format_only:
        set_format_only(config, args.options)
    if args.show or args.show_dir:
        set_images(config, args)
    if args.tta:
        set_tta(config)


def set_split(config: Config, split: str) -> None:
    """Test on another split of the test dataset. Whether the annotation file has it, the dataset says.

    Raises:
        UserInputError: If the test dataset has no splits.
    """
    datasets = innermost_datasets(config.get('test_dataloader'))
    init_default_scope(config.get('default_scope', 'mmdet'))
    for dataset in datasets:
        if 'split' not in _parameters(DATASETS, dataset.get('type')):
            raise UserInputError.of(
                f'--which-set {split}',
                f"a test dataset of type '{dataset.get('type')}', which has no splits",
                'a RefSegDataset',
                'leave the option out, or change test_dataloader.dataset.ann_file with --cfg-options',
            )
        dataset['split'] = split
    if not datasets:
        raise UserInputError.of(
            f'--which-set {split}', 'no test_dataloader in the config', 'one', 'choose another config'
        )


def set_format_only(config: Config, options: dict[str, Any]) -> None:
    """Let the metrics write their prediction files and compute nothing.

    Args:
        config: ``test_evaluator`` is changed; metrics that cannot write a file are left out.
        options: Of ``--options``; ``jsonfile_prefix`` is where the files go, without their endings
            (default: ``<work_dir>/predictions``).

    Raises:
        UserInputError: If no metric can write a submission.
    """
    evaluators = _evaluators(config)
    writers = [metric for metric in evaluators if 'format_only' in _parameters(METRICS, metric.get('type'))]
    if not writers:
        names = ', '.join(str(metric.get('type')) for metric in evaluators) or 'no metric'
        raise UserInputError.of(
            '--format-only',
            f'{names} in test_evaluator',
            'a metric that writes predictions',
            'use RESMetric or InstanceMetric',
        )
    default = str(Path(config.work_dir) / 'predictions')
    prefix = str(options.get(PREFIX_OPTION, options.get('outfile_prefix', default)))
    for metric in writers:
        metric.update(format_only=True, outfile_prefix=prefix)
    config.test_evaluator = writers


def set_metric_options(config: Config, options: dict[str, Any], flag: str = '--options ') -> None:
    """Hand ``--options`` to the metrics that know them.

    Args:
        config: ``test_evaluator`` is changed.
        options: Argument of a metric -> value.
        flag: What the user wrote before the key, for the error.

    Raises:
        UserInputError: If no metric knows one of them.
    """
    evaluators = _evaluators(config)
    for key, value in options.items():
        name = 'outfile_prefix' if key == PREFIX_OPTION else key
        takers = [metric for metric in evaluators if name in _parameters(METRICS, metric.get('type'))]
        if not takers:
            known = {PREFIX_OPTION}.union(
                *(_parameters(METRICS, metric.get('type')) for metric in evaluators)
            )
            raise UserInputError(
                f'{flag}{key}: no metric of the config takes it{did_you_mean(key, known)}; '
                f'expected one of {", ".join(sorted(known))}'
            )
        for metric in takers:
            metric[name] = value
    config.test_evaluator = evaluators
    _adapt_model(config, options)


def _adapt_model(config: Config, options: dict[str, Any]) -> None:
    """Let the model predict what ``--options protocol=...`` and ``frame=...`` score, where it can.

    A model says so by having ``sentences`` and ``frame`` in its ``test_cfg`` (LAVT). What the config or
    ``--cfg-options`` has chosen already (``cat_legacy``) stays.
    """
    test_cfg = (config.get('model') or {}).get('test_cfg') or {}
    if options.get('protocol') in ('cat', 'avg') and test_cfg.get('sentences') == 'each':
        test_cfg['sentences'] = options['protocol']
    if options.get('frame') == 'network' and 'frame' in test_cfg:
        test_cfg['frame'] = 'network'


def set_images(config: Config, args: argparse.Namespace) -> None:
    """Let the config's visualization hook draw: ``--show``, ``--show-dir`` and ``--wait-time``.

    Raises:
        UserInputError: If the config has no such hook.
    """
    if 'visualization' not in config.get('default_hooks', {}):
        raise UserInputError.of(
            '--show', 'no default_hooks.visualization in the config', 'one', 'inherit default_runtime.py'
        )
    trigger_visualization_hook(config, args)


def set_tta(config: Config) -> None:
    """Wrap the model for the config's test-time augmentation. There is no default: a flip makes "left" wrong.

    Raises:
        UserInputError: If the config defines none.
    """
    for key in ('tta_model', 'tta_pipeline'):
        if key not in config:
            raise UserInputError.of(
                '--tta', f'no {key} in the config', 'one', 'leave the option out or define it'
            )
    config.model = ConfigDict(**config.tta_model, module=config.model)
    config.test_dataloader.dataset.pipeline = config.tta_pipeline


def prediction_dump(path: str) -> DumpDetResults:
    """A metric that writes all predictions to a pickle file (.pkl), masks as run lengths."""
    return DumpDetResults(out_file_path=path)


def build_test_metrics(runner: Runner) -> list[BaseMetric]:
    """Build the test's metrics, which mmengine builds after the data set: what they refuse is said first.

    Raises:
        UserInputError: If one refuses, or the file that it writes in the end cannot be written.
    """
    runner._test_evaluator = runner.build_evaluator(runner._test_evaluator)
    for metric in runner._test_evaluator.metrics:
        if getattr(metric, 'outfile_prefix', None) is not None:
            check_prefix(metric.outfile_prefix, 'outfile_prefix')
    return runner._test_evaluator.metrics


def describe_metric(metric: BaseMetric) -> str:
    """What a metric's numbers mean: its name, protocol, frame and legacy switch."""
    parts = [type(metric).__name__]
    if hasattr(metric, 'format_only') and hasattr(metric, 'outfile'):  # a metric of referring expressions
        parts.append(f'protocol {getattr(metric, "protocol", "sentence")}')
        parts.append(f'frame {getattr(metric, "frame", "original")}')
    if hasattr(metric, 'backend'):  # a metric of instances
        parts.append(metric.backend)
    if getattr(metric, 'legacy', False):
        parts.append('legacy')
    return ', '.join(parts)


def describe_model(config: Config) -> str:
    """How the model uses an object's sentences and at which size it predicts, where it has a choice."""
    test_cfg = (config.get('model') or {}).get('test_cfg') or {}
    parts = [f'{key}={test_cfg[key]}' for key in ('sentences', 'frame') if key in test_cfg]
    return f'model: {", ".join(parts)}' if parts else ''


def short_names(metrics: dict[str, float]) -> dict[str, float]:
    """Drop the prefixes (``res/miou`` -> ``miou``), unless two metrics would get the same name."""
    names = [key.rsplit('/', 1)[-1] for key in metrics]
    keys = names if len(set(names)) == len(names) else list(metrics)
    return {key: float(value) for key, value in zip(keys, metrics.values(), strict=True)}


def summarize(
    config: Config, config_path: str, evaluator: Evaluator, metrics: dict[str, float]
) -> dict[str, Any]:
    """The numbers of a test with what they are about, ready for json."""
    datasets = innermost_datasets(config.test_dataloader)
    return {
        **short_names(metrics),
        'about': {
            'config': config_path,
            'checkpoint': config.load_from,
            'ann_file': [os.path.join(d.get('data_root') or '', d.get('ann_file') or '') for d in datasets],
            'split': [dataset.get('split') for dataset in datasets],
            'metrics': [describe_metric(metric) for metric in evaluator.metrics],
            **({'model': describe_model(config)} if describe_model(config) else {}),
        },
    }


def print_table(config: Config, evaluator: Evaluator, metrics: dict[str, float]) -> None:
    """Print one table a metric, below a line with its protocol and frame."""
    console = plain_console()
    splits = ', '.join(
        str(dataset.get('split', '')) for dataset in innermost_datasets(config.test_dataloader)
    )
    for metric in evaluator.metrics:
        prefix = f'{metric.prefix}/' if metric.prefix else ''
        rows = {key: value for key, value in metrics.items() if prefix and key.startswith(prefix)}
        rows = rows or ({} if prefix else {key: value for key, value in metrics.items() if '/' not in key})
        if not rows:
            continue
        about = f'{describe_metric(metric)}, split {splits}' if splits else describe_metric(metric)
        console.print('; '.join(filter(None, (about, describe_model(config)))), soft_wrap=True)
        rows = {key.removeprefix(prefix): value for key, value in rows.items()}
        for table in precision_tables(rows) or [_plain_table(rows)]:
            console.print(table)


def _plain_table(rows: dict[str, Any]) -> Table:
    """A line a number."""
    table = Table()
    table.add_column('metric')
    table.add_column('value', justify='right')
    for key, value in rows.items():
        table.add_row(key, f'{value:.2f}' if isinstance(value, float | int) else str(value))
    return table


def _evaluators(config: Config) -> list:
    evaluators = config.get('test_evaluator') or []
    init_default_scope(config.get('default_scope', 'mmdet'))
    return list(evaluators) if isinstance(evaluators, list | tuple) else [evaluators]


def _parameters(registry, name: Any) -> set[str]:
    """Names of the arguments of a registered class and of those that its ``**kwargs`` go to."""
    found = registry.get(name) if isinstance(name, str) else name
    return argument_names(found) if inspect.isclass(found) else set()
