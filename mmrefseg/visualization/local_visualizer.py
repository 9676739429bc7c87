"""The visualizer of referring segmentation, for mmengine's machinery."""

from ..compat import quick_mmdet  # noqa: F401  isort: skip  (before anything imports mmdet)
import io

import numpy as np
import torch
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from PIL import Image

from mmrefseg.utils import atomic_write

from .drawing import draw_case, draw_overlay, make_grid
from .instance_drawing import draw_instances


@VISUALIZERS.register_module()
class RefVisualizer(DetLocalVisualizer):
    """Draw each pair of an image and an expression as one panel.

    A data sample without expressions (instance segmentation) is drawn as
    :class:`mmdet.visualization.DetLocalVisualizer` draws it.

    Args:
        name: Of the instance, by which mmengine finds it.
        panel_width: Of one panel in pixels.
        columns: Panels in a row, where an image has several expressions.
        **kwargs: Those of DetLocalVisualizer.
    """

    def __init__(self, name: str = 'visualizer', panel_width: int = 420, columns: int = 3, **kwargs) -> None:
        super().__init__(name=name, **kwargs)
        self.panel_width = panel_width
        self.columns = columns

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: DetDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        pred_score_thr: float = 0.3,
        step: int = 0,
    ) -> None:
        """Draw, then show, write to ``out_file``, or hand to the backends.

        Args:
            name: Of the image.
            image: (H, W, 3) uint8, RGB, in the original frame.
            data_sample: With ``expressions``, ``gt_instances`` and ``pred_instances`` (all optional).
            draw_gt: Whether to draw the truth.
            draw_pred: Whether to draw the prediction.
            show: Whether to open a window.
            wait_time: Seconds that the window stays (0: until a key is pressed).
            out_file: A file to write; unlike mmdet's, also by the processes of rank > 0, since each of them
                tests images of its own.
            pred_score_thr: For data samples without expressions; an expression always has one prediction.
            step: For the backends.
        """
        expressions = None if data_sample is None else data_sample.metainfo.get('expressions')
        if not expressions:
            super().add_datasample(
                name, image, data_sample, draw_gt, draw_pred, show, wait_time, out_file, pred_score_thr, step
            )
            return
        cases = cases_of(data_sample.cpu(), image, draw_gt, draw_pred)
        drawn = make_grid([draw_case(**case, width=self.panel_width) for case in cases], self.columns)
        self.set_image(drawn)
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is not None:
            _write_image(drawn, out_file)
        elif not show:
            self.add_image(name, drawn, step)

    def small_panel(
        self, image: np.ndarray, data_sample: DetDataSample, width: int, score_thr: float
    ) -> np.ndarray:
        """One small picture of a data sample: of its first expression, or of all objects that were found.

        Args:
            image: (H, W, 3) uint8, RGB, in the original frame.
            data_sample: As of :meth:`add_datasample`, with ``pred_instances``.
            width: Of the picture in pixels.
            score_thr: Least score of an object, for data samples without expressions.

        Returns:
            (h, ``width``, 3) uint8, RGB.
        """
        if data_sample.metainfo.get('expressions'):
            case = cases_of(data_sample.cpu(), image)[0]
            return draw_case(**case | {'points': None}, width=width)  # their numbers would cover all
        found = data_sample.cpu().pred_instances
        found = found[found.scores >= score_thr]
        rows = range(len(found))
        names = (self.dataset_meta or {}).get('classes') or ()
        labels = [
            f'{names[label] if label < len(names) else label} {score:.0%}'
            for label, score in zip(found.labels.tolist(), found.scores.tolist(), strict=True)
        ]
        boxes = np.array([_row(found, 'bboxes', row) for row in rows]).reshape(-1, 4)
        masks = np.array([_mask_at(found, row) for row in rows]) if 'masks' in found else None
        return draw_overlay(draw_instances(image, boxes, labels, masks), width=width)


def cases_of(
    data_sample: DetDataSample, image: np.ndarray, draw_gt: bool = True, draw_pred: bool = True
) -> list[dict]:
    """The arguments of :func:`draw_case` for every pair of a data sample.

    Args:
        data_sample: On the CPU, with the metainfo ``expressions`` (N).
        image: (H, W, 3) uint8, RGB, in the original frame.
        draw_gt: Whether to take the truth.
        draw_pred: Whether to take the prediction.

    Returns:
        list[dict]: N dicts.
    """
    truth = data_sample.get('gt_instances') if draw_gt else None
    prediction = data_sample.get('pred_instances') if draw_pred else None
    cases = []
    for index, expression in enumerate(data_sample.metainfo['expressions']):
        case = {'image': image, 'expression': expression}
        if truth is not None:
            has_mask = bool(truth.has_mask[index]) if 'has_mask' in truth else True
            case['truth_mask'] = _mask_at(truth, index) if has_mask else None
            case['truth_box'] = _row(truth, 'bboxes', index)
        if prediction is not None and index < len(prediction):
            case['mask'] = _mask_at(prediction, index)
            case['box'] = _row(prediction, 'bboxes', index)
            case['points'] = _row(prediction, 'points', index)
            score = _row(prediction, 'scores', index)
            case['score'] = None if score is None else float(score)
        cases.append(case)
    return cases


def _row(instances, field: str, index: int) -> np.ndarray | None:
    """Row ``index`` of a field as numpy, or None where there is no such field."""
    if field not in instances:
        return None
    values = instances[field]
    values = getattr(values, 'tensor', values)  # mmdet's box classes
    return values[index].numpy() if isinstance(values, torch.Tensor) else np.asarray(values[index])


def _mask_at(instances, index: int) -> np.ndarray | None:
    if 'masks' not in instances:
        return None
    masks = instances.masks
    if hasattr(masks, 'to_ndarray'):
        masks = masks.to_ndarray()
    mask = masks[index]
    return (mask.numpy() if isinstance(mask, torch.Tensor) else np.asarray(mask)).astype(bool)


def _write_image(image: np.ndarray, path: str) -> None:
    suffix = path.rsplit('.', 1)[-1].lower()
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format={'jpg': 'JPEG', 'jpeg': 'JPEG'}.get(suffix, 'PNG'), quality=92)
    with atomic_write(path, 'wb') as file:
        file.write(buffer.getvalue())
