"""Any text encoder of Hugging Face's ``transformers`` as a language model: BERT, ModernBERT, CLIP, ...

Letters: M expressions, T tokens, D channels of the encoder, C channels given.
"""

from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...compat.carried import HERE
from ...utils import UserInputError
from ..hugging_face import (
    build_tower,
    config_fields,
    find_model,
    freeze_encoder,
    freeze_unused,
    layers_by_depth,
    load_tower,
    read_config,
)
from ..layers.small_batch_norm import SmallBatchBN
from .hf_tokenizer import carried_tokenizer, find_tokenizer
from .token_batch import TextFeatures, TokenBatch, WordFeatures

OUTPUTS = ('words', 'sentence')
POOLINGS = ('auto', 'model', 'mean', 'max', 'first')
# Trained on sentences of one length, with the padding seen; the last state is the sentence's.
PADDED = ('siglip_text_model', 'siglip2_text_model')
# Trained on images and texts: their own sentence vector means what is in an image.
OWN_SENTENCES = (*PADDED, 'clip_text_model', 'chinese_clip_text_model', 'metaclip_2_text_model')


@MODELS.register_module()
class HFTextEncoder(BaseModule):
    """A text encoder of ``transformers``, for SeqTR's fusion (a sentence vector) and LAVT's (word vectors).

    Args:
        model: Folder with ``config.json``, ``model.safetensors`` and the tokenizer's files, or a name in
            Hugging Face's cache. The weights are read when a training starts. Of a model of images and texts,
            the text tower is taken.
        config: Fields of the encoder's config that replace the model's; without ``model``, with
            ``model_type``, those of a network with random weights, which needs a ``tokenizer``.
        tokenizer: Folder or name, where it is not the model's; or a checkpoint that carries one.
        output: What :meth:`forward` gives: ``'words'`` (LAVT) or ``'sentence'`` (SeqTR, Partial-RES).
        pooling: Sentence vectors: the model's own (``'model'``), mean or maximum over the tokens, or the
            first token's; ``'auto'`` is the model's own of CLIP and SigLIP, and the mean of others.
        out_channels: C: a linear layer makes them from D; ``None`` keeps D.
        batch_norm: Normalise sentence vectors over the batch, see :class:`GRUEncoder`: those of a language
            model that was not trained on sentences are all alike.
        max_tokens: T; expressions are cut to so many tokens, special ones included.
        frozen: ``True`` keeps all of the encoder's weights; N keeps the embeddings and the first N layers.
        pad_token: For a tokenizer that has none: one of its tokens.
        allow_pickle: See :func:`load_tower`.
        init_cfg: mmengine's initialisation config.

    Raises:
        UserInputError: If the model or tokenizer is not on this disk, or they do not fit.
    """

    def __init__(
        self,
        model: str | None = None,
        config: dict | None = None,
        tokenizer: str | None = None,
        output: str = 'words',
        pooling: str = 'auto',
        out_channels: int | None = None,
        batch_norm: bool = False,
        max_tokens: int = 20,
        frozen: bool | int = False,
        pad_token: str | None = None,
        allow_pickle: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.where = f'HFTextEncoder {model}' if model else 'HFTextEncoder'
        self._check_choices(model, config, tokenizer, output, pooling)
        self.folder = None if model is None else find_model(model, 'HFTextEncoder')
        self.output, self.allow_pickle = output, allow_pickle
        settings = read_config(self.folder, config, 'text', self.where)
        self.encoder = build_tower(settings, self.where)
        self.padded = settings.model_type in PADDED
        own = settings.model_type in OWN_SENTENCES
        self.pooling = ('model' if own else 'mean') if pooling == 'auto' else pooling
        self.max_tokens = self._positions() if self.padded else max_tokens
        self.fields = config_fields(settings)
        self.tokenizer_source = str(self.folder if tokenizer is None else tokenizer)
        self.tokenizer = find_tokenizer(self.tokenizer_source, pad_token, self.where)
        self._check_sizes()
        width = self._width(settings)
        self.project = nn.Identity() if out_channels is None else nn.Linear(width, out_channels)
        self.out_channels = out_channels or width
        norm = batch_norm and output == 'sentence'
        self.norm = SmallBatchBN(self.out_channels) if norm else nn.Identity()
        self.frozen = frozen is True
        self._freeze_unused()
        self.still = freeze_encoder(self.encoder, frozen, self.where)

    def _check_choices(self, model, config, tokenizer, output: str, pooling: str) -> None:
        for name, value, choices in (('output', output, OUTPUTS), ('pooling', pooling, POOLINGS)):
            if value not in choices:
                raise UserInputError.of(
                    self.where, f'{name}={value!r}', f'one of {", ".join(choices)}', 'correct the config'
                )
        if model is None and (tokenizer is None or not (config or {}).get('model_type')):
            raise UserInputError.of(
                self.where,
                'no model, and not both config.model_type and tokenizer',
                'one or the other',
                'name the model',
            )

    def _width(self, settings) -> int:
        return getattr(settings, 'hidden_size', None) or getattr(settings, 'd_model', None) or settings.dim

    def _positions(self) -> int | None:
        """So many tokens have position codes; None where there is no limit."""
        config = self.encoder.config
        count = getattr(config, 'max_position_embeddings', None)
        for name, module in self.encoder.named_modules():
            if name.endswith('position_embeddings') and getattr(module, 'padding_idx', None) is not None:
                return count - module.padding_idx - 1  # RoBERTa counts from behind its padding token
        return count if isinstance(count, int) and count > 0 else None

    def _check_sizes(self) -> None:
        known = self.encoder.get_input_embeddings().num_embeddings
        if len(self.tokenizer) > known:
            raise UserInputError.of(
                self.where,
                f'a tokenizer of {len(self.tokenizer)} tokens',
                f'at most {known}, the vocab_size of the encoder',
                'name the tokenizer of the same model',
            )
        positions = self._positions()
        if positions is not None and self.max_tokens > positions:
            raise UserInputError.of(
                self.where,
                f'max_tokens={self.max_tokens}',
                f'at most {positions}, for which it has position codes',
                'correct max_tokens',
            )

    def _freeze_unused(self) -> None:
        self.encoder.eval()
        features = self.encode(self.tokenize(['a'])[:2])
        freeze_unused(self.encoder, [features.words if self.output == 'words' else features.sentence])

    def init_weights(self) -> None:
        """Read the model's weights; without a model they stay random.

        Raises:
            UserInputError: If they are missing or of another network.
        """
        first = not self._is_init
        super().init_weights()  # first: transformers' own initialisation is among it
        if first and self.folder is not None:
            load_tower(self.encoder, self.folder, self.where, self.allow_pickle)

    def carried(self) -> dict[str, Any]:
        """What the model's folder says of the network, and the tokenizer; the weights are among the model's.

        A tokenizer that is not one of the library ``tokenizers`` stays where it is.
        """
        config = {'model': None, 'config': self.fields, 'tokenizer': self.tokenizer_source}
        part = carried_tokenizer(self.tokenizer)
        return {**part, 'config': config | ({'tokenizer': HERE} if part else {})}

    def layers_by_depth(self) -> list[list[str]]:
        """Names of the encoder's parameters, layer by layer, for layer-wise learning rates."""
        return [[f'encoder.{name}' for name in names] for names in layers_by_depth(self.encoder)]

    def train(self, mode: bool = True) -> 'HFTextEncoder':
        """Training mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        for module in self.still:
            module.eval()
        return self

    def tokenize(self, expressions: list[str]) -> TokenBatch:
        """Tokens of expressions (M, T), special ones included; T is the longest's, or the model's."""
        rows = self.tokenizer(
            list(expressions),
            truncation=True,
            max_length=self.max_tokens,
            padding='max_length' if self.padded else 'longest',
            return_attention_mask=True,
            return_tensors='pt',
        )
        device = self.encoder.get_input_embeddings().weight.device
        return TokenBatch(rows['input_ids'].to(device), rows['attention_mask'].bool().to(device))

    def forward(self, tokens: TokenBatch) -> WordFeatures | Tensor:
        """Tokens (M, T) -> vectors (M, T, C) with their mask, or with ``output='sentence'`` (M, C).

        Raises:
            UserInputError: If there are more tokens than the encoder has positions for.
        """
        features = self.encode(tokens)
        return self.norm(features.sentence) if self.output == 'sentence' else WordFeatures(*features[:2])

    def encode(self, tokens: TokenBatch) -> TextFeatures:
        """Tokens (M, T) -> words (M, T, C), their mask and sentence vectors (M, C)."""
        ids, mask = tokens
        positions = self._positions()
        if positions is not None and ids.shape[1] > positions:
            raise UserInputError.of(
                self.where, f'{ids.shape[1]} tokens in a row', f'at most {positions}', 'join fewer sentences'
            )
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            output = self.encoder(input_ids=ids, attention_mask=None if self.padded else mask.long())
            sentence = self._pool(output, mask)
        return TextFeatures(self.project(output.last_hidden_state), mask, self.project(sentence))

    def _pool(self, output, mask: Tensor) -> Tensor:
        words = output.last_hidden_state
        if self.pooling == 'model':
            pooled = getattr(output, 'pooler_output', None)
            if pooled is None:
                raise UserInputError.of(
                    self.where,
                    "pooling='model'",
                    'mean, max or first: it has no pooled state',
                    'correct pooling',
                )
            return pooled
        if self.pooling == 'first':
            return words[:, 0]
        # an expression without tokens sees its padding
        mask = (mask | ~mask.any(1, keepdim=True))[..., None]
        if self.pooling == 'max':
            return words.masked_fill(~mask, float('-inf')).amax(1)
        return (words * mask).sum(1) / mask.sum(1)
