"""Data samples as a model and the pipeline make them, for the tests of the metrics."""

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

HEIGHT, WIDTH = 30, 44


def make_samples(
    number: int = 5, seed: int = 0, boxes: bool = True, masks: bool = True
) -> list[DetDataSample]:
    """``number`` samples of 1 to 3 pairs; objects have one to three sentences within a sample.

    Predictions are noisy truths, so that the numbers are neither 0 nor 100.
    """
    rng = np.random.default_rng(seed)
    samples, sent_id = [], 0
    for index in range(number):
        pairs = 1 + index % 3
        truth = np.zeros((pairs, HEIGHT, WIDTH), np.uint8)
        top, left = rng.integers(1, 9, 2)
        truth[:, top : top + 14, left : left + 20] = 1
        sample = DetDataSample(
            metainfo={
                'img_id': 1000 + index,
                'ori_shape': (HEIGHT, WIDTH),
                'img_shape': (48, 70),
                'ref_ids': [index] * pairs,
                'sent_ids': list(range(sent_id, sent_id + pairs)),
                'expressions': [f'shape {index} said {k}' for k in range(pairs)],
            }
        )
        sent_id += pairs
        corners = torch.tensor([[left, top, left + 20, top + 14]] * pairs, dtype=torch.float32)
        sample.gt_instances = InstanceData(
            bboxes=HorizontalBoxes(corners) if index % 2 else corners,
            labels=torch.zeros(pairs, dtype=torch.int64),
            masks=BitmapMasks(truth, HEIGHT, WIDTH),
            has_mask=torch.ones(pairs, dtype=torch.bool),
            multi_part=torch.tensor([index % 2 == 0] * pairs),
        )
        sample.pred_instances = InstanceData(scores=torch.from_numpy(rng.random(pairs)).float())
        if boxes:
            sample.pred_instances.bboxes = corners + torch.from_numpy(rng.uniform(-5, 5, (pairs, 4))).float()
        if masks:
            shift = rng.integers(0, 7, pairs)
            moved = [np.roll(mask, step, axis=1) for mask, step in zip(truth, shift, strict=True)]
            sample.pred_instances.masks = torch.from_numpy(np.stack(moved)).bool()
        samples.append(sample)
    return samples


def evaluate(metric, samples: list[DetDataSample], batch_size: int = 2, size: int | None = None) -> dict:
    """Run a metric as mmengine's evaluator does."""
    for first in range(0, len(samples), batch_size):
        metric.process(None, [sample.to_dict() for sample in samples[first : first + batch_size]])
    return metric.evaluate(len(samples) if size is None else size)


def annotations_of(samples: list[DetDataSample]) -> list[dict]:
    """The records of the working format that the samples' truths come from."""
    records = []
    for sample in samples:
        boxes = sample.gt_instances.bboxes
        left, top, right, bottom = getattr(boxes, 'tensor', boxes)[0].tolist()
        rle = coco_mask.encode(np.asfortranarray(sample.gt_instances.masks.masks[0]))
        records.append(
            {
                'image_id': sample.img_id,
                'height': HEIGHT,
                'width': WIDTH,
                'bbox': [left, top, right - left, bottom - top],
                'mask': {'size': rle['size'], 'counts': rle['counts'].decode()},
                'expressions': list(sample.expressions),
                'category_id': 1 + sample.ref_ids[0] % 2,
                'ref_id': sample.ref_ids[0],
                'sent_ids': list(sample.sent_ids),
            }
        )
    return records
