"""Metrics of instance segmentation as the model zoos print them."""

from collections.abc import Mapping

from rich.table import Table

from .functional.instances import COLUMNS, IOU_TYPES

HEADINGS = dict(zip(COLUMNS, ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl'), strict=True))


def precision_tables(metrics: Mapping[str, float]) -> list[Table]:
    """One table of the columns, and one of the classes where there are any.

    Args:
        metrics: Without prefix, in [0, 1], of :class:`InstanceMetric` or mmdet's CocoMetric:
            ``bbox_mAP, bbox_mAP_50, ..., segm_mAP, ...``, and ``segm_<class>_mAP``.

    Returns:
        Tables in percent; none if ``metrics`` are others. ``-`` means: no ground truth of that size or class.
    """
    kinds = [kind for kind in IOU_TYPES if f'{kind}_mAP' in metrics]
    if not kinds:
        return []
    columns = Table()
    for heading in ('', *HEADINGS.values()):
        columns.add_column(heading, justify='right' if heading else 'left')
    for kind in kinds:
        columns.add_row(kind, *(_percent(metrics.get(f'{kind}_{name}')) for name in HEADINGS))
    classes = _classes(metrics, kinds)
    if not classes:
        return [columns]
    per_class = Table()
    for heading in ('class', *(f'{kind} AP' for kind in kinds)):
        per_class.add_column(heading, justify='left' if heading == 'class' else 'right')
    for name in classes:
        per_class.add_row(name, *(_percent(metrics.get(f'{kind}_{name}_mAP')) for kind in kinds))
    return [columns, per_class]


def _classes(metrics: Mapping[str, float], kinds: list[str]) -> list[str]:
    """Names of classes in the keys, in their order."""
    prefix, suffix = f'{kinds[0]}_', '_mAP'
    names = [key for key in metrics if key.startswith(prefix) and key.endswith(suffix)]
    return [key[len(prefix) : -len(suffix)] for key in names if len(key) > len(prefix) + len(suffix)]


def _percent(value: float | None) -> str:
    return '-' if value is None or value < 0 else f'{100 * value:.3f}'
