"""Any text encoder of Hugging Face's ``transformers`` as a language model: BERT, ModernBERT, CLIP, ...

Letters: M expressions, T tokens, D channels of the encoder, C channels given.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...compat.carried import HERE
from ...datasets.vocabulary import SentenceCuts
from ...utils import UserInputError
from ...utils.errors import short
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
from .gru_encoder import read_words
from .hf_tokenizer import carried_tokenizer, find_tokenizer
from .kept_sentences import KeptSentences
from .token_batch import TextFeatures, TokenBatch, WordFeatures

OUTPUTS = ('words', 'sentence')
POOLINGS = ('auto', 'model', 'mean', 'max', 'first', 'gru')
MOST_KEPT = 2**31  # bytes of sentences in memory
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
            first token's; ``'auto'`` is the model's own of CLIP and SigLIP, and the mean of others. With
            ``'gru'`` a GRU, which learns, reads the encoder's word vectors as SeqTR's reads those of a
            vocabulary: with a frozen encoder it reads words best that training never had (docs/encoders.md).
        out_channels: C: a linear layer makes them from D, or half of them before a GRU; ``None`` keeps D.
        batch_norm: Normalise sentence vectors over the batch, see :class:`GRUEncoder`: those of a language
            model that was not trained on sentences are all alike.
        max_tokens: T; expressions are cut to so many tokens, special ones included.
        frozen: ``True`` keeps all of the encoder's weights; N keeps the embeddings and the first N layers.
        pad_token: For a tokenizer that has none: one of its tokens.
        noise: With ``frozen=True`` and ``output='sentence'``: sentence vectors (a GRU's word vectors) are
            normalised over the batch before the linear layer, and in training Gaussian noise of so many
            standard deviations is added.
            Linear layers learn then from what sentences have most in common (it acts as ridge regression
            does; Bishop, Neural Computation 1995), and words that no training sentence has are read better.
        allow_pickle: See :func:`load_tower`.
        init_cfg: mmengine's initialisation config.

    What ``output='sentence'`` reads of a frozen encoder is computed once for each sentence and kept in
    memory, up to 2 GB.

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
        noise: float = 0.0,
        allow_pickle: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.where = f'HFTextEncoder {model}' if model else 'HFTextEncoder'
        self._check_choices(model, config, tokenizer, output, pooling)
        self._check_noise(noise, output, frozen)
        self._check_channels(out_channels)
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
        self.out_channels = out_channels or width
        self._check_gru(pooling, output, out_channels)
        self.gru, self.project = None, nn.Identity()
        if pooling == 'gru':
            half = self.out_channels // 2
            self.project = nn.Linear(width, half)
            self.gru = nn.GRU(half, half, batch_first=True, bidirectional=True)
        elif out_channels is not None:
            self.project = nn.Linear(width, out_channels)
        norm = batch_norm and output == 'sentence'
        self.norm = SmallBatchBN(self.out_channels) if norm else nn.Identity()
        self.noise = noise
        self.spread = SmallBatchBN(width, affine=False) if noise else None
        self.frozen = frozen is True
        self.kept = KeptSentences(MOST_KEPT)
        self.register_load_state_dict_pre_hook(lambda *_: self.kept.clear())
        self.cuts = SentenceCuts('tokens')
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

    def _check_noise(self, noise: float, output: str, frozen: bool | int) -> None:
        number = isinstance(noise, int | float) and not isinstance(noise, bool) and math.isfinite(noise)
        if noise and not (number and noise > 0 and output == 'sentence' and frozen is True):
            raise UserInputError.of(
                self.where,
                f'noise={noise!r} with output={output!r} and frozen={frozen}',
                "a positive number, output='sentence' and frozen=True",
                'correct the config',
            )

    def _check_channels(self, out_channels: int | None) -> None:
        if out_channels is not None and (type(out_channels) is not int or out_channels < 1):
            raise UserInputError.of(
                self.where,
                f'out_channels={short(out_channels)}',
                'a number from 1, or None',
                'correct the config',
            )

    def _check_gru(self, pooling: str, output: str, given: int | None) -> None:
        if pooling == 'gru' and (output != 'sentence' or self.out_channels % 2):
            found = given or f"None (the encoder's {self.out_channels})"
            raise UserInputError.of(
                self.where,
                f"pooling='gru' with output={output!r} and out_channels={found}",
                "output='sentence' and an even number, half of it for each direction",
                'correct the config',
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
        with self._reads_sentences():
            known = self.encoder.get_input_embeddings().num_embeddings
        if len(self.tokenizer) > known:
            raise UserInputError.of(
                self.where,
                f'a tokenizer of {len(self.tokenizer)} tokens',
                f'at most {known}, the vocab_size of the encoder',
                'name the tokenizer of the same model',
            )
        ends = self.tokenizer.num_special_tokens_to_add()
        if not isinstance(self.max_tokens, int) or self.max_tokens <= ends:
            raise UserInputError.of(
                self.where,
                f'max_tokens={self.max_tokens!r}',
                f'a number from {ends + 1}, of which {ends} are special ones',
                'correct max_tokens',
            )
        positions = self._positions()
        if positions is not None and self.max_tokens > positions:
            raise UserInputError.of(
                self.where,
                f'max_tokens={self.max_tokens}',
                f'at most {positions}, for which it has position codes',
                'correct max_tokens',
            )

    @contextmanager
    def _reads_sentences(self) -> Iterator[None]:
        """Encoders of sounds, and those that want an image beside the sentence, fail in many ways."""
        try:
            yield
        except (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError) as error:
            if isinstance(error, UserInputError):
                raise
            kind = self.encoder.config.model_type
            raise UserInputError.of(
                self.where,
                f'model_type {kind!r}, which reads no sentence ({short(str(error))})',
                'a text encoder, or a model of images and text',
                'name another model',
            ) from error

    def _freeze_unused(self) -> None:
        self.encoder.eval()
        with self._reads_sentences():
            features = self.encode(self.tokenize(['a']))
        freeze_unused(self.encoder, [features.words if self.output == 'words' else features.sentence])
        # nothing of that sentence is kept
        self.cuts.clear()
        if self.spread is not None:
            self.spread.reset_running_stats()

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
        """Tokens of expressions (M, T), special ones included; T >= 1 is the longest's, or the model's."""
        rows = self.tokenizer(
            list(expressions),
            truncation=True,
            max_length=self.max_tokens,
            padding='max_length' if self.padded else 'longest',
            return_attention_mask=True,
            return_tensors='pt',
        )
        self._count_cuts(expressions, rows['attention_mask'].sum(1).tolist())
        device = self.encoder.get_input_embeddings().weight.device
        ids, mask = rows['input_ids'].long().to(device), rows['attention_mask'].bool().to(device)
        if not ids.shape[1]:  # nothing but empty expressions, and no special tokens
            return TokenBatch(F.pad(ids, (0, 1), value=self.tokenizer.pad_token_id), F.pad(mask, (0, 1)))
        return TokenBatch(ids, mask)

    def _count_cuts(self, expressions: list[str], lengths: list[int]) -> None:
        """Count sentences; only those that fill their row can be longer than it, and are split once more."""
        full = [row for row, length in enumerate(lengths) if length >= self.max_tokens]
        if full:
            whole = self.tokenizer([expressions[row] for row in full], truncation=False, verbose=False)
            for row, ids in zip(full, whole['input_ids'], strict=True):
                lengths[row] = len(ids)
        self.cuts.count(lengths, self.max_tokens)

    def forward(self, tokens: TokenBatch) -> WordFeatures | Tensor:
        """Tokens (M, T) -> vectors (M, T, C) with their mask, or with ``output='sentence'`` (M, C).

        Raises:
            UserInputError: If there are more tokens than the encoder has positions for.
        """
        if self.output == 'words':
            return WordFeatures(*self.encode(tokens)[:2])
        return self.norm(self._read(self._vectors(tokens)))

    def _vectors(self, tokens: TokenBatch) -> list[Tensor]:
        """What is read of each expression, (D,) or (T, D); a frozen encoder computes it once."""
        ids, mask = tokens
        if not self.frozen:
            return self._run(tokens)[1]
        rough = torch.is_autocast_enabled(ids.device.type)  # mixed precision: other numbers, of another type
        keys = [(rough, *row[real].tolist()) for row, real in zip(ids, mask, strict=True)]
        kept = self.kept.get(keys, lambda rows: self._run(TokenBatch(ids[rows], mask[rows]))[1])
        return [vectors.to(ids.device) for vectors in kept]

    def _read(self, vectors: list[Tensor]) -> Tensor:
        """What is read of M expressions, (D,) or (T, D) each -> (M, C)"""
        if self.gru is None:
            return self._project(torch.stack(vectors))
        lengths = torch.tensor([len(words) for words in vectors])
        words = self._project(torch.cat(vectors)).split(lengths.tolist())
        words = nn.utils.rnn.pad_sequence(words, batch_first=True)
        real = torch.arange(words.shape[1]) < lengths[:, None]
        return read_words(self.gru, words, real.to(words.device))

    def _project(self, vectors: Tensor) -> Tensor:
        """(N, D) -> (N, C), or half of C before a GRU"""
        if self.spread is not None:
            vectors = self.spread(vectors)
            if self.training:
                vectors = vectors + self.noise * torch.randn_like(vectors)
        return self.project(vectors)

    def encode(self, tokens: TokenBatch) -> TextFeatures:
        """Tokens (M, T) -> words (M, T, C, or C / 2 with a GRU), their mask and sentence vectors (M, C)."""
        words, vectors = self._run(tokens)
        return TextFeatures(self.project(words), tokens[1], self._read(vectors))

    def _run(self, tokens: TokenBatch) -> tuple[Tensor, list[Tensor]]:
        """The encoder's own states (M, T, D), and what is read of each expression: (D,) or (T, D)."""
        ids, mask = tokens
        positions = self._positions()
        if positions is not None and ids.shape[1] > positions:
            raise UserInputError.of(
                self.where, f'{ids.shape[1]} tokens in a row', f'at most {positions}', 'join fewer sentences'
            )
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            output = self.encoder(input_ids=ids, attention_mask=None if self.padded else mask.long())
            words = output.last_hidden_state
            # an expression without tokens sees its padding
            mask = mask | ~mask.any(1, keepdim=True)
            if self.gru is not None:
                return words, [row[real] for row, real in zip(words, mask, strict=True)]
            return words, list(self._pool(output, mask))

    def _pool(self, output, mask: Tensor) -> Tensor:
        """(M, D)"""
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
        mask = mask[..., None]
        if self.pooling == 'max':
            return words.masked_fill(~mask, float('-inf')).amax(1)
        return (words * mask).sum(1) / mask.sum(1)
