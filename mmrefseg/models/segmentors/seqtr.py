"""SeqTR and Partial-RES as one detector: backbone, language model, neck, head.

Letters: B images, M expressions (all pairs of the batch in a row), P vertices.
"""

from collections.abc import Sequence

import numpy as np
import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.structures.mask import BitmapMasks
from mmdet.utils import ConfigType, OptConfigType, OptMultiConfig
from mmengine.structures import InstanceData
from torch import Tensor

from ...structures.polygons import vertices_to_mask
from ...utils import UserInputError
from ..heads.auxiliary import AuxiliaryInputs, build_auxiliary_heads
from ..heads.seqtr_head import HeadPrediction, ImageSizes
from ..layers.memory import Memory


@MODELS.register_module()
class SeqTR(BaseDetector):
    """Referring expression comprehension and segmentation by coordinate sequences.

    A sample is one image with N expressions (``data_sample.expressions``); the image
    passes through the backbone once, whatever N is.

    Args:
        backbone: Config; gives three maps, finest first.
        language_model: Config; gives a vector per expression.
        neck: Config of the fusion.
        head: Config of the sequence head.
        auxiliary_heads: Configs of heads that teach the features in training (:class:`AuxiliaryHead`); none
            in the papers.
        data_preprocessor: Config; ``pad_size_divisor`` must be the codec's ``pad_divisor``.
        test_cfg: ``confine_to_box=True`` keeps vertices inside the ground-truth box
            (for pseudo labels, where the box is known);
            ``legacy_rescale=True`` resizes the whole padded mask to the original image, as the original
            does: where there is padding, that shifts the mask.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        backbone: ConfigType,
        language_model: ConfigType,
        neck: ConfigType,
        head: ConfigType,
        auxiliary_heads: Sequence[ConfigType] = (),
        data_preprocessor: OptConfigType = None,
        test_cfg: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone = MODELS.build(backbone)
        self.language_model = MODELS.build(language_model)
        self.neck = MODELS.build(neck)
        self.head = MODELS.build(head)
        self.auxiliary_heads = build_auxiliary_heads(auxiliary_heads, self.language_model)
        self._check_parts()
        switches = dict(confine_to_box=False, legacy_rescale=False)
        self.test_cfg = switches | dict(test_cfg or {})

    def _check_parts(self) -> None:
        """Where the encoders tell what they give, the neck reads that."""
        gives = getattr(self.language_model, 'output', 'sentence')
        if gives != 'sentence':
            raise UserInputError.of(
                f'{type(self).__name__}: language_model',
                f'output={gives!r}',
                "output='sentence', a vector for each expression",
                'correct the config',
            )
        for name, key in (('backbone', 'in_channels'), ('language_model', 'out_channels')):
            given = getattr(getattr(self, name), 'out_channels', None)
            wanted = getattr(self.neck, key, None)
            # of some of mmdet's backbones it is one number, which means something else
            if type(given) is type(wanted) and given != wanted:
                raise UserInputError.of(
                    f'{type(self).__name__}: {name}',
                    f'out_channels {given}',
                    f"{wanted}, the neck's {key}",
                    f'set {name}.out_channels to that, or neck.{key} to what it gives',
                )

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) -> three maps."""
        return self.backbone(batch_inputs)

    def extract_vision(self, batch_inputs: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> the map (B, C, H/32, W/32) that sentences are brought into."""
        return self._extract(batch_inputs)[0]

    def _extract(self, batch_inputs: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The map that sentences are brought into, and the backbone's three."""
        maps = self.extract_feat(batch_inputs)
        return self.neck.forward_vision(maps), maps

    def encode(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> Memory:
        """Everything before the decoder: the memory of all M expressions."""
        return self.head.encode(*self._fuse(batch_inputs, batch_data_samples)[1:])

    def _fuse(self, batch_inputs: Tensor, samples: SampleList) -> tuple:
        """Bring the sentences in: the map before it, and what the head's encoder takes."""
        vision, maps = self._extract(batch_inputs)
        words, index = self._sentences(samples, vision.device)
        fused, language = self.neck.fuse(vision, self.language_model(words), index)
        return vision, fused, language, self._sizes(batch_inputs, samples, index), maps, index

    def _sentences(self, samples: SampleList, device: torch.device) -> tuple[Tensor, Tensor]:
        """Word indices (M, T) of all expressions, and the image (M,) of each."""
        expressions = [text for sample in samples for text in sample.expressions]
        counts = torch.tensor([len(sample.expressions) for sample in samples])
        index = torch.repeat_interleave(torch.arange(len(counts)), counts).to(device)
        return self.language_model.tokenize(expressions), index

    def _sizes(self, batch_inputs: Tensor, samples: SampleList, index: Tensor) -> ImageSizes:
        image = torch.tensor([sample.img_shape[:2] for sample in samples], device=batch_inputs.device)
        divisor = self.head.codec.pad_divisor
        padded = (image + divisor - 1) // divisor * divisor
        return ImageSizes(image[index], padded[index].float(), tuple(batch_inputs.shape[-2:]))

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Token losses, see :meth:`SeqTRHead.loss`, and those of the auxiliary heads."""
        instances = [sample.gt_instances for sample in batch_data_samples]

        def gather(name: str) -> Tensor | None:
            if name not in instances[0]:
                return None
            return torch.cat([item[name] for item in instances]).to(batch_inputs.device)

        vision, fused, *encoded = self._fuse(batch_inputs, batch_data_samples)
        memory = self.head.encode(fused, *encoded)
        tokens = gather('bbox_tokens'), gather('mask_tokens')
        losses = self.head.loss(memory, *tokens, gather('has_mask'))
        if self.auxiliary_heads:
            inputs = self._auxiliary_inputs(batch_inputs, batch_data_samples, vision, fused, memory)
            for head in self.auxiliary_heads.values():
                losses |= head.loss(inputs)
        return losses

    def _auxiliary_inputs(
        self, batch_inputs: Tensor, samples: SampleList, vision: Tensor, fused: Tensor, memory: Memory
    ) -> AuxiliaryInputs:
        words, index = self._sentences(samples, vision.device)
        boxes = torch.cat([sample.gt_instances.bbox_tokens for sample in samples]).to(vision.device)
        (height, width), (rows, columns) = batch_inputs.shape[-2:], memory.grid
        return AuxiliaryInputs(
            vision=vision,
            stride=(height / rows, width / columns),
            boxes=[sample.gt_instances.bboxes for sample in samples],
            labels=[sample.gt_instances.labels for sample in samples],
            image_index=index,
            box_cells=(boxes + 0.5) / self.head.codec.num_bins * memory.extent.repeat(1, 2),
            words=words,
            language_model=self.language_model,
            fused=fused,
            memory=memory,
        )

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True
    ) -> SampleList:
        """Boxes, masks and points of every expression.

        Args:
            batch_inputs: (B, 3, H, W).
            batch_data_samples: With ``expressions``; with ``gt_instances.bboxes`` in the
                original frame for ``confine_to_box``.
            rescale: Give results in the original image's frame, else in the network's.

        Returns:
            The samples with ``pred_instances``: bboxes (N, 4) xyxy, labels (N,), scores (N,),
            and with masks: masks (N, H, W) bool, points (N, P, 2) xy, NaN behind the end.
        """
        output = self.decode(batch_inputs, batch_data_samples)[1]
        return self.read(output, batch_data_samples, rescale)

    def decode(
        self, batch_inputs: Tensor, batch_data_samples: SampleList, keep_logits: bool = False
    ) -> tuple[Memory, HeadPrediction]:
        """The first half of :meth:`predict`: the memory of all M expressions, and the tokens."""
        memory = self.encode(batch_inputs, batch_data_samples)
        bins = self._box_bins(batch_data_samples) if self.test_cfg['confine_to_box'] else None
        bins = None if bins is None else bins.to(batch_inputs.device)
        return memory, self.head.predict(memory, bins, keep_logits)

    def read(
        self, output: HeadPrediction, batch_data_samples: SampleList, rescale: bool = True
    ) -> SampleList:
        """The second half of :meth:`predict`: tokens of all M expressions -> boxes, masks and points."""
        results, first = [], 0
        for sample in batch_data_samples:
            rows = slice(first, first + len(sample.expressions))
            results.append(self._instances(output, rows, sample, rescale))
            first = rows.stop
        return self.add_pred_to_datasample(batch_data_samples, results)

    def _forward(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Tensor mode: the decoded tokens."""
        return self.head(*self._fuse(batch_inputs, batch_data_samples)[1:])

    def _box_bins(self, samples: SampleList) -> Tensor:
        """Tokens (M, 4) of the known boxes, which are in the original frame."""
        rows = []
        for sample in samples:
            scale = np.tile(np.asarray(sample.scale_factor, dtype=np.float64), 2)
            for box in torch.as_tensor(sample.gt_instances.bboxes).double().cpu().numpy():
                rows.append(self.head.codec.encode_box(box * scale, sample.img_shape[:2]))
        return torch.as_tensor(np.stack(rows))

    def _instances(self, output: HeadPrediction, rows: slice, sample, rescale: bool) -> InstanceData:
        codec = self.head.codec
        scale = np.asarray(sample.scale_factor if rescale else (1.0, 1.0), dtype=np.float64)
        shape = tuple(sample.ori_shape[:2] if rescale else sample.img_shape[:2])
        scores = output.scores[rows]
        result = InstanceData(scores=scores.cpu(), labels=torch.zeros(len(scores), dtype=torch.long))
        if output.masks is not None:
            tokens = output.masks.tokens[rows].cpu().numpy()
            contours = [codec.decode_mask(t, sample.img_shape[:2]) / scale for t in tokens]
            if rescale and self.test_cfg['legacy_rescale']:
                masks = np.stack([self._resized_mask(t, sample) for t in tokens])
            else:
                masks = np.stack([vertices_to_mask(c, *shape) for c in contours])
            result.masks = torch.from_numpy(masks.astype(bool))
            result.points = self._pad_points(contours, codec.num_points)
            result.bboxes = torch.stack([_contour_box(contour) for contour in contours])
        if output.boxes is not None:
            tokens = output.boxes.tokens[rows].cpu().numpy()
            boxes = [codec.decode_box(t, sample.img_shape[:2]) / np.tile(scale, 2) for t in tokens]
            result.bboxes = torch.from_numpy(np.stack(boxes)).float()
        return result

    def _resized_mask(self, tokens: np.ndarray, sample) -> np.ndarray:
        """The original's mask in the original frame: drawn with the padding, resized with it."""
        codec = self.head.codec
        width, height = codec.padded_size(sample.img_shape)
        mask = vertices_to_mask(codec.decode_mask(tokens, sample.img_shape[:2]), height, width)
        bitmap = BitmapMasks(mask[None].astype(np.uint8), height, width)
        return bitmap.resize(tuple(sample.ori_shape[:2])).masks[0]

    @staticmethod
    def _pad_points(contours: list[np.ndarray], num_points: int) -> Tensor:
        points = torch.full((len(contours), num_points, 2), float('nan'))
        for row, contour in zip(points, contours, strict=True):
            row[: len(contour)] = torch.from_numpy(contour).float()
        return points


def _contour_box(contour: np.ndarray) -> Tensor:
    """xyxy box of a contour (K, 2); zeros where there is none."""
    if len(contour) == 0:
        return torch.zeros(4)
    return torch.from_numpy(np.concatenate([contour.min(0), contour.max(0)])).float()
