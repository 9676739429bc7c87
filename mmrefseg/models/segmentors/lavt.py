"""LAVT as one detector: language model, backbone with language gates, decoder.

Letters: B images, M expressions (all pairs of the batch in a row), H W pixels.
"""

from collections.abc import Sequence

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType, OptConfigType, OptMultiConfig
from mmengine.structures import InstanceData
from torch import Tensor

from ...utils import UserInputError
from ..heads.auxiliary import AuxiliaryInputs, build_auxiliary_heads
from ..heads.lavt_head import upsample
from ..language_models.token_batch import TokenBatch, join_tokens

TEST_CFG = dict(frame='original', sentences='each', confine_to_box=False, chunk_size=None)
CHOICES = dict(frame=('original', 'network'), sentences=('each', 'cat', 'cat_legacy', 'avg'))


@MODELS.register_module()
class LAVT(BaseDetector):
    """Referring expression segmentation with language gates in the backbone (Yang et al., CVPR 2022).

    A sample is one image with N expressions (``data_sample.expressions``); the image passes through
    the stage before the first gate once, whatever N is.

    Args:
        backbone: Config; takes images and words, gives four maps per expression, finest first.
        language_model: Config; gives a vector per word.
        decode_head: Config; gives two logits a cell.
        auxiliary_heads: Configs of heads that teach what comes before the first gate, in training
            (:class:`AuxiliaryHead`); none in the paper.
        data_preprocessor: Config of mmdet's.
        test_cfg: ``frame``: masks of the ``'original'`` image's size, from logits that are resized
            bilinearly, or of the ``'network'``'s input, as LAVT is scored in its paper. ``sentences``: what
            is predicted from: ``'each'`` expression; all expressions of an object (``ref_ids``), joined
            (``'cat'``; ``'cat_legacy'`` interleaves their words as LAVT-pytorch does) or by the mean of
            their logits (``'avg'``). ``confine_to_box=True`` cuts masks at the ground-truth box (pseudo
            labels, where the box is known). ``chunk_size``: so many expressions at once behind the shared
            stage; all by default.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        backbone: ConfigType,
        language_model: ConfigType,
        decode_head: ConfigType,
        auxiliary_heads: Sequence[ConfigType] = (),
        data_preprocessor: OptConfigType = None,
        test_cfg: OptConfigType = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.language_model = MODELS.build(language_model)
        self.backbone = MODELS.build(backbone)
        self.decode_head = MODELS.build(decode_head)
        self._check_parts()
        self.auxiliary_heads = build_auxiliary_heads(auxiliary_heads, self.language_model)
        self.test_cfg = TEST_CFG | dict(test_cfg or {})
        for name, value in self.test_cfg.items():
            if name not in TEST_CFG or value not in CHOICES.get(name, (value,)):
                expected = f'one of {", ".join(CHOICES.get(name, TEST_CFG))}'
                raise UserInputError.of('LAVT test_cfg', f'{name}={value!r}', expected, 'correct the config')

    def _check_parts(self) -> None:
        """Each part reads what the one before it gives, where both tell."""
        name = type(self).__name__
        if getattr(self.language_model, 'output', 'words') != 'words':
            raise UserInputError.of(
                f'{name}: language_model',
                f'output={self.language_model.output!r}',
                "output='words', a vector for each word",
                'correct the config',
            )
        for part, reader, key in (
            ('language_model', 'backbone', 'language_channels'),
            ('backbone', 'decode_head', 'in_channels'),
        ):
            given = getattr(getattr(self, part), 'out_channels', None)
            wanted = getattr(getattr(self, reader), key, given)
            if given is not None and given != wanted:
                raise UserInputError.of(
                    f'{name}: {reader}', f'{key} {wanted}', f"{given}, the {part}'s", 'correct the config'
                )

    def extract_feat(
        self, batch_inputs: Tensor, tokens: TokenBatch, index: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Maps of the M expressions whose images are ``batch_inputs[index]``."""
        return self.backbone(batch_inputs, *self.language_model(tokens), index)

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Losses of the decoder, over the expressions that have a mask, and of the auxiliary heads."""
        tokens, index = self._sentences(batch_data_samples, batch_inputs.device)
        maps = self.backbone.forward_image(batch_inputs)
        feats = self.backbone.forward_language(maps, *self.language_model(tokens), index)
        size = tuple(batch_inputs.shape[-2:])
        target, has_mask = self._targets(batch_data_samples, size, index.device)
        losses = self.decode_head.loss_from_maps(feats, target, has_mask)
        if self.auxiliary_heads:
            inputs = self._auxiliary_inputs(maps, tokens.ids, index, batch_data_samples, size)
            for head in self.auxiliary_heads.values():
                losses |= head.loss(inputs)
        return losses

    def _auxiliary_inputs(
        self, maps, words: Tensor, index: Tensor, samples: SampleList, size: tuple[int, int]
    ) -> AuxiliaryInputs:
        vision = maps if isinstance(maps, Tensor) else maps.evidence
        stride = tuple(full / cells for full, cells in zip(size, vision.shape[1:3], strict=True))
        boxes = [sample.gt_instances.bboxes.to(vision.device) for sample in samples]
        return AuxiliaryInputs(
            vision=vision.permute(0, 3, 1, 2),
            stride=stride,
            boxes=boxes,
            labels=[sample.gt_instances.labels for sample in samples],
            image_index=index,
            box_cells=torch.cat(boxes) / boxes[0].new_tensor([stride[1], stride[0]] * 2),
            words=words,
            language_model=self.language_model,
        )

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: SampleList, rescale: bool = True
    ) -> SampleList:
        """Masks of every expression.

        Args:
            batch_inputs: (B, 3, H, W).
            batch_data_samples: With ``expressions``, and ``ref_ids`` unless each is predicted from alone.
            rescale: Allow ``frame='original'``; otherwise results are in the network's frame.

        Returns:
            The samples with ``pred_instances``: masks (N, H, W) bool, scores (N,), the mean probability of
            the object inside the mask, bboxes (N, 4) xyxy around the mask, labels (N,), zeros.
        """
        original = rescale and self.test_cfg['frame'] == 'original'
        size = tuple(batch_inputs.shape[-2:])
        logits = self._sentence_logits(self.backbone.forward_image(batch_inputs), batch_data_samples)
        results = [
            self._instances(rows, sample, size, original)
            for rows, sample in zip(logits, batch_data_samples, strict=True)
        ]
        return self.add_pred_to_datasample(batch_data_samples, results)

    def _forward(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> Tensor:
        """Tensor mode: logits (M, 2, H, W) of all expressions at the size of the input."""
        tokens, index = self._sentences(batch_data_samples, batch_inputs.device)
        feats = self.extract_feat(batch_inputs, tokens, index)
        return upsample(self.decode_head(feats), batch_inputs.shape[-2:])

    def _sentences(self, samples: SampleList, device: torch.device) -> tuple[TokenBatch, Tensor]:
        """Tokens of all M expressions, and the image (M,) of each."""
        expressions = [text for sample in samples for text in sample.expressions]
        counts = torch.tensor([len(sample.expressions) for sample in samples])
        index = torch.repeat_interleave(torch.arange(len(counts)), counts).to(device)
        return self.language_model.tokenize(expressions), index

    def _sentence_logits(self, image_maps: Tensor, samples: SampleList) -> list[Tensor]:
        """Low-resolution logits (N, 2, h, w) of each sample's rows, as ``test_cfg.sentences`` says."""
        mode = self.test_cfg['sentences']
        if mode in ('cat', 'cat_legacy'):
            return [
                self._joined_logits(image_maps[i : i + 1], sample, mode == 'cat_legacy')
                for i, sample in enumerate(samples)
            ]
        logits = self._single_logits(image_maps, samples)
        if mode == 'avg':
            for rows, sample in zip(logits, samples, strict=True):
                for group in _rows_by_object(sample.ref_ids):
                    rows[group] = rows[group].mean(0, keepdim=True)
        return logits

    def _single_logits(self, image_maps: Tensor, samples: SampleList) -> list[Tensor]:
        """Each expression on its own; a sentence is read once, however many images it is about."""
        pairs = [(i, text) for i, sample in enumerate(samples) for text in sample.expressions]
        different = list(dict.fromkeys(pairs))
        sentences = {text: row for row, text in enumerate(dict.fromkeys(text for _, text in different))}
        words, mask = self.language_model(self.language_model.tokenize(list(sentences)))
        rows = torch.tensor([sentences[text] for _, text in different], device=words.device)
        index = torch.tensor([i for i, _ in different], device=image_maps.device)
        logits = self._logits(image_maps, index, words[rows], mask[rows])
        row_of = {pair: row for row, pair in enumerate(different)}
        logits = logits[[row_of[pair] for pair in pairs]]
        return list(logits.split([len(sample.expressions) for sample in samples]))

    def _joined_logits(self, image_map: Tensor, sample, interleave: bool) -> Tensor:
        """The expressions of each object of one image (1, h, w, C) as one."""
        tokens = self.language_model.tokenize(list(sample.expressions))
        index = torch.zeros(1, dtype=torch.long, device=image_map.device)
        result: list[Tensor | None] = [None] * len(sample.expressions)
        for group in _rows_by_object(sample.ref_ids):
            words, mask = self.language_model(join_tokens(tokens, group, interleave))
            logits = self._logits(image_map, index, words, mask)[0]
            for row in group:
                result[row] = logits
        return torch.stack(result)

    def _logits(self, image_maps: Tensor, index: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Low-resolution logits of expressions whose images are ``image_maps[index]``, chunk by chunk."""
        size = self.test_cfg['chunk_size'] or max(len(words), 1)
        chunks = []
        for start in range(0, len(words), size):
            part = slice(start, start + size)
            maps = self.backbone.forward_language(image_maps, words[part], mask[part], index[part])
            chunks.append(self.decode_head(maps))
        return torch.cat(chunks)

    def _targets(
        self, samples: SampleList, size: tuple[int, int], device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Masks (M, H, W) uint8 in the padded frame, and which of them are there (M,)."""
        has_mask = torch.cat([sample.gt_instances.has_mask for sample in samples])
        target = torch.zeros(len(has_mask), *size, dtype=torch.uint8)
        first = 0
        for sample in samples:
            masks = torch.as_tensor(sample.gt_instances.masks.masks)
            target[first : first + len(masks), : masks.shape[1], : masks.shape[2]] = masks
            first += len(masks)
        return target.to(device), has_mask.to(device)

    def _instances(self, logits: Tensor, sample, input_size: tuple[int, int], original: bool) -> InstanceData:
        height, width = sample.img_shape[:2]
        frame = tuple(sample.ori_shape[:2]) if original else (height, width)
        masks, scores = [], []
        for row in logits:  # one at a time: the full-size logits of all expressions take gigabytes
            full = upsample(row[None], input_size)[..., :height, :width]
            probability = upsample(full, frame).softmax(1)[0, 1]
            masks.append((probability > 0.5).cpu())
            inside = probability[probability > 0.5]
            scores.append(float(inside.mean()) if len(inside) else 0.0)
        masks = torch.stack(masks)
        if self.test_cfg['confine_to_box']:
            masks &= _inside_boxes(sample, frame, original)
        boxes = torch.stack([_mask_box(mask) for mask in masks])
        labels = torch.zeros(len(masks), dtype=torch.long)
        return InstanceData(masks=masks, scores=torch.tensor(scores), bboxes=boxes, labels=labels)


def _rows_by_object(ref_ids: Sequence) -> list[list[int]]:
    groups: dict = {}
    for row, ref_id in enumerate(ref_ids):
        groups.setdefault(ref_id, []).append(row)
    return list(groups.values())


def _inside_boxes(sample, frame: tuple[int, int], original: bool) -> Tensor:
    """(N, H, W) bool: pixels that touch the ground-truth box, which is in the original frame."""
    boxes = sample.gt_instances.bboxes
    boxes = torch.as_tensor(getattr(boxes, 'tensor', boxes)).double().cpu()
    if not original:
        boxes = boxes * torch.tensor([*sample.scale_factor, *sample.scale_factor], dtype=torch.float64)
    y = torch.arange(frame[0])[None, :, None]
    x = torch.arange(frame[1])[None, None, :]
    left, top, right, bottom = (edge[:, None, None] for edge in boxes.unbind(1))
    return (x + 1 > left) & (x <= right) & (y + 1 > top) & (y <= bottom)


def _mask_box(mask: Tensor) -> Tensor:
    """xyxy box around a mask (H, W); zeros where it is empty."""
    rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
    if not len(rows):
        return torch.zeros(4)
    return torch.stack([columns[0, 0], rows[0, 0], columns[-1, 0] + 1, rows[-1, 0] + 1]).float()
