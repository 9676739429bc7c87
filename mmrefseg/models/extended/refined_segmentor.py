"""Any model of the package with a refiner behind it."""

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.structures.bbox import get_box_tensor
from mmdet.utils import ConfigType, OptMultiConfig
from mmengine.structures import InstanceData
from torch import Tensor

from ...utils import UserInputError
from ..segmentors.seqtr import SeqTR
from .quality import box_evidence
from .refiner import Windows, to_image


@MODELS.register_module()
class RefinedSegmentor(BaseDetector):
    """A model whose masks are drawn anew by a :class:`BoxRefiner`, each in its box.

    The model is any that predicts boxes or masks: SeqTR and Partial-RES (also one that knows boxes alone),
    LAVT, whose boxes are those around its masks, Mask R-CNN and Cascade Mask R-CNN. It stays as it is, and
    in training it does not even run: the refiner learns from true boxes, with noise, and the masks there are.

    Training can start from a checkpoint of the model alone.

    Args:
        segmentor: Config of the model, with its ``data_preprocessor``.
        refiner: Config of the refiner.
        train_segmentor: Train the model beside the refiner, by its own losses.
        quality: Config of a :class:`QualityHead`, whose predicted IoUs are the scores instead of the model's.
            A stage of its own: where there is one, it alone learns, from what model and refiner predict.
            Show it images that the model has not learned, such as the mirror images of those that it has
            (``RefFlip(prob=1.0)``): on these themselves it errs too rarely.
        test_cfg: ``confine_to_box=True`` draws the masks in the ground-truth boxes (pseudo labels, where the
            box is known).
        init_cfg: mmengine's initialisation config.

    Raises:
        UserInputError: An entry of ``test_cfg`` that there is not; a quality head while the model trains, or
            behind a model that reads no sentences.
    """

    def __init__(
        self,
        segmentor: ConfigType,
        refiner: ConfigType,
        train_segmentor: bool = False,
        quality: ConfigType | None = None,
        test_cfg: ConfigType | None = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        model = MODELS.build(segmentor)
        super().__init__(data_preprocessor=model.data_preprocessor, init_cfg=init_cfg)
        self.segmentor = model
        self.refiner = MODELS.build(refiner)
        self.train_segmentor = train_segmentor
        self.segmentor.requires_grad_(train_segmentor)
        self.quality = None
        if quality is not None:
            if train_segmentor:
                raise UserInputError.of(
                    'RefinedSegmentor',
                    'quality and train_segmentor=True',
                    'one of them: the quality of what still changes cannot be learned',
                    'train the quality head in a stage of its own',
                )
            if hasattr(model, 'roi_head'):
                raise _no_sentences(f'quality behind {type(model).__name__}')
            self.refiner.requires_grad_(False)
            self.quality = MODELS.build({**quality, 'in_channels': self._evidence_channels()})
        self.test_cfg = {'confine_to_box': False} | dict(test_cfg or {})
        if unknown := sorted(set(self.test_cfg) - {'confine_to_box'}):
            raise UserInputError.of(
                'RefinedSegmentor test_cfg',
                ', '.join(unknown),
                "confine_to_box; the model's own go into segmentor.test_cfg",
                'correct the config',
            )

    def train(self, mode: bool = True) -> 'RefinedSegmentor':
        """Training mode, of the refiner alone where the model does not train."""
        super().train(mode)
        self.segmentor.train(mode and self.train_segmentor)
        self.refiner.train(mode and self.quality is None)
        return self

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """The model's maps of images (B, 3, H, W)."""
        return self.segmentor.extract_feat(batch_inputs)

    def _forward(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> object:
        """Tensor mode: the model's."""
        return self.segmentor._forward(batch_inputs, batch_data_samples)

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """The refiner's losses, see :meth:`BoxRefiner.loss`, and the model's where it trains, too.

        Args:
            batch_inputs: (B, 3, H, W) preprocessed.
            batch_data_samples: With ``gt_instances``: bboxes (N, 4) xyxy and, if they are loaded, bitmap
                masks, in the network's frame; a mask that covers nothing is none. ``mask_scores`` (N,) of
                pseudo masks may be there, see ``score_power`` of :class:`BoxRefiner`.
        """
        if self.quality is not None:
            return self._quality_losses(batch_inputs, batch_data_samples)
        losses = {}
        if self.train_segmentor:
            losses |= self.segmentor.loss(batch_inputs, batch_data_samples)
        device = batch_inputs.device
        objects = [sample.gt_instances for sample in batch_data_samples]
        boxes, index = _all_boxes([get_box_tensor(item.bboxes) for item in objects], device)
        masks = [_bitmaps(item).to(device) for item in objects]
        known = torch.cat([rows.bool().flatten(1).any(1) for rows in masks])
        scores = _mask_scores(objects).to(device)
        return losses | self.refiner.loss(batch_inputs, boxes, index, masks, known, scores)

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True
    ) -> SampleList:
        """Boxes of the model, or the known ones, and the refiner's masks.

        Args:
            batch_inputs: (B, 3, H, W).
            batch_data_samples: What the model needs; with ``gt_instances.bboxes`` in the original frame for
                ``confine_to_box``.
            rescale: Give results in the original image's frame, else in the network's.

        Returns:
            The samples with ``pred_instances``: bboxes (N, 4) xyxy, labels (N,), scores (N,), masks (N, H, W)
            bool. Scores are the model's; in known boxes, the mean probability inside the mask; with a quality
            head, the predicted IoU.
        """
        known = self.test_cfg['confine_to_box']
        evidence = None
        if known and not self.refiner.coarse:
            found = [_known_boxes(sample, batch_inputs.device) for sample in batch_data_samples]
        else:
            found, evidence = self._find(batch_inputs, batch_data_samples)
            if known:
                for instances, sample in zip(found, batch_data_samples, strict=True):
                    instances.bboxes = _known_boxes(sample, batch_inputs.device).bboxes
        windows, probabilities = self._draw(batch_inputs, found)
        predicted = None
        if self.quality is not None:
            predicted = self.quality(*_judged(found, evidence, probabilities, known))
        results, first = [], 0
        for instances, sample in zip(found, batch_data_samples, strict=True):
            rows = slice(first, first + len(instances))
            first = rows.stop
            result = _instances(instances, windows[rows], probabilities[rows], sample, rescale, known)
            if predicted is not None:
                result.scores = predicted[rows].cpu() * result.masks.flatten(1).any(1)
            results.append(result)
        return self.add_pred_to_datasample(batch_data_samples, results)

    def _quality_losses(self, batch_inputs: Tensor, samples: SampleList) -> dict[str, Tensor]:
        """Losses of the quality head, from what model and refiner predict for the training images."""
        with torch.no_grad():
            found, evidence = self._find(batch_inputs, samples)
            windows, probabilities = self._draw(batch_inputs, found)
        truth, _ = _all_boxes([get_box_tensor(s.gt_instances.bboxes) for s in samples], batch_inputs.device)
        ious, known, first = [], [], 0
        for instances, sample in zip(found, samples, strict=True):
            rows = slice(first, first + len(instances))
            first = rows.stop
            drawn = _instances(instances, windows[rows], probabilities[rows], sample, False, False).masks
            true = _bitmaps(sample.gt_instances).bool()
            if len(true) != len(drawn):
                raise _no_sentences(f'{len(drawn)} predictions for {len(true)} objects of an image')
            known.append(true.flatten(1).any(1))
            true = true if known[-1].any() else torch.zeros_like(drawn)
            both, either = (drawn & true).flatten(1).sum(1), (drawn | true).flatten(1).sum(1)
            ious.append(both / either.clamp(min=1))
        judged = _judged(found, evidence, probabilities, False)
        device = batch_inputs.device
        return self.quality.loss(judged, truth, torch.cat(ious).to(device), torch.cat(known).to(device))

    def _find(self, batch_inputs: Tensor, samples: SampleList) -> tuple[list[InstanceData], Tensor | None]:
        """What the model predicts, in the network's frame, and its evidence (M, E) for a quality head."""
        if self.quality is None or not self.quality.in_channels:
            predicted, evidence = self.segmentor.predict(batch_inputs, samples, rescale=False), None
        else:
            memory, output = self.segmentor.decode(batch_inputs, samples, keep_logits=True)
            predicted = self.segmentor.read(output, samples, rescale=False)
            evidence = box_evidence(memory, output.boxes, self.segmentor.head.codec.num_bins)
        return [sample.pred_instances for sample in predicted], evidence

    def _evidence_channels(self) -> int:
        """E of :func:`box_evidence`; 0 for models that have no such thing."""
        model = self.segmentor
        if not (isinstance(model, SeqTR) and model.head.with_box and model.head.language_token):
            return 0
        return 12 + 2 * model.head.token_embedding.embedding_dim

    def _draw(self, batch_inputs: Tensor, found: list[InstanceData]) -> tuple[Tensor, Tensor]:
        """Windows (M, 4) of all objects of the batch, and probabilities (M, R, R) of being inside."""
        boxes, index = _all_boxes([item.bboxes for item in found], batch_inputs.device)
        windows, size = self.refiner.windows(boxes, index), self.refiner.size
        if not len(boxes):
            return boxes, boxes.new_zeros(0, size, size)
        coarse = None
        if self.refiner.coarse and all('masks' in item for item in found):
            coarse = self._coarse(found, windows)
        return windows.boxes, self.refiner(windows.crop(batch_inputs, size), coarse).sigmoid()

    def _coarse(self, found: list[InstanceData], windows: Windows) -> Tensor:
        """The model's own masks in the windows: (M, R, R), 1 inside, -1 outside."""
        crops, first = [], 0
        for instances in found:
            part = slice(first, first + len(instances))
            first = part.stop
            own = torch.as_tensor(instances.masks).to(windows.boxes)[:, None]
            each = Windows(windows.boxes[part], torch.arange(len(own), device=own.device))
            crops.append(each.crop(own, self.refiner.size)[:, 0])
        return torch.cat(crops) * 2 - 1

    def adapt_state_dict(self, state: dict[str, Tensor]) -> None:
        """Rename in place the tensors of a checkpoint of the model alone to where the model is here."""
        if not any(key.startswith(('segmentor.', 'refiner.')) for key in state):
            for key in list(state):
                state[f'segmentor.{key}'] = state.pop(key)


def _no_sentences(found: str) -> UserInputError:
    """What a quality head says behind a model that predicts any number of objects."""
    return UserInputError.of(
        'RefinedSegmentor quality',
        found,
        'a model of referring expressions, which predicts one object each',
        'leave the quality head out',
    )


def _all_boxes(boxes: list[Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
    """The boxes (M, 4) of all images in a row, float32, and the image (M,) of each."""
    counts = torch.tensor([len(rows) for rows in boxes], device=device)
    index = torch.repeat_interleave(torch.arange(len(boxes), device=device), counts)
    return torch.cat([rows.to(device, torch.float32) for rows in boxes]), index


def _bitmaps(objects: InstanceData) -> Tensor:
    """The masks (N, H, W) of the objects of an image; of one pixel, 0, where none were loaded."""
    if 'masks' not in objects:
        return torch.zeros(len(objects), 1, 1, dtype=torch.uint8)
    return torch.from_numpy(objects.masks.masks)


def _mask_scores(objects: list[InstanceData]) -> Tensor:
    """How good the masks (M,) of all images seemed to what selected them; 1 where nothing says it."""
    scores = [item.mask_scores if 'mask_scores' in item else torch.ones(len(item)) for item in objects]
    return torch.cat(scores)


def _known_boxes(sample, device: torch.device) -> InstanceData:
    """The ground-truth boxes, which are in the original frame, in the network's."""
    boxes = torch.as_tensor(get_box_tensor(sample.gt_instances.bboxes)).double().to(device)
    boxes = (boxes * boxes.new_tensor([*sample.scale_factor, *sample.scale_factor])).float()
    return InstanceData(bboxes=boxes, labels=torch.zeros(len(boxes), dtype=torch.long, device=device))


def _judged(
    found: list[InstanceData], evidence: Tensor | None, probabilities: Tensor, known: bool
) -> tuple[Tensor | None, Tensor | None, Tensor, Tensor]:
    """What a quality head takes, of all images in a row; in ``known`` boxes the mask alone is judged."""
    boxes, _ = _all_boxes([item.bboxes for item in found], probabilities.device)
    scores = None if known else torch.cat([item.scores for item in found]).to(boxes)
    return None if known else evidence, scores, probabilities, boxes


def _instances(
    found: InstanceData, windows: Tensor, probabilities: Tensor, sample, rescale: bool, known: bool
) -> InstanceData:
    """Results of one image, from windows (N, 4) and probabilities (N, R, R) in the network's frame."""
    height, width = (sample.ori_shape if rescale else sample.img_shape)[:2]
    scale = windows.new_tensor([*sample.scale_factor, *sample.scale_factor] if rescale else [1.0] * 4)
    masks = torch.zeros(len(windows), height, width, dtype=torch.bool)
    scores = torch.zeros(len(windows))
    empty = (found.bboxes[:, 2:] <= found.bboxes[:, :2]).any(1).tolist()  # the model found nothing
    # one at a time: only the window's part of the image is computed
    for row, (box, probability) in enumerate(zip(windows / scale, probabilities, strict=True)):
        if empty[row]:
            continue
        pasted, part = to_image(probability, box, height, width)
        inside = pasted > 0.5
        masks[row][part] = inside.cpu()
        scores[row] = pasted[inside].mean() if inside.any() else 0.0
    if not known:
        scores = found.scores.cpu()
    return InstanceData(
        bboxes=found.bboxes.cpu() / scale.cpu(), labels=found.labels.cpu(), scores=scores, masks=masks
    )
