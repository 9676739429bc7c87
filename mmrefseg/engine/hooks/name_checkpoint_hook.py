"""Tells metrics that write predictions which weights predict."""

from collections.abc import Iterable
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...utils import file_sha256


@HOOKS.register_module()
class NameCheckpointHook(Hook):
    """Tell the metrics that ask for it (``PseudoLabelDump``) what was loaded, before the first batch.

    tools/test.py has done so before; this is for other tools that test by a config, such as mmdet's. After
    training in the same process the weights are no file's, and the metrics hear nothing.
    """

    def before_test(self, runner: Runner) -> None:
        """Once the weights are loaded."""
        trained = runner.iter > 0
        begin_metrics(runner.test_evaluator.metrics, None if trained else runner._load_from)


def begin_metrics(metrics: Iterable[BaseMetric], load_from: str | None) -> None:
    """Call ``begin(checkpoint, sha256)`` of the metrics that have it and have not begun.

    Args:
        metrics: Of the test.
        load_from: What the weights are loaded from; what is no file of this machine (an address) is named
            and not hashed.

    Raises:
        UserInputError: If a metric refuses to begin.
    """
    waiting = [metric for metric in metrics if not getattr(metric, 'begun', True)]
    if not waiting:
        return
    sha256 = None
    if load_from and get_rank() == 0:  # the file may be large, and others on the same disk
        path = Path(load_from).expanduser()
        sha256 = file_sha256(path) if path.is_file() else None
    for metric in waiting:
        metric.begin(load_from, sha256)
