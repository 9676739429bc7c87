"""The originals' algorithm on the weights of our modules: what the benchmarks compare with.

Partial-RES (Qu et al., CVPR 2023) and SeqTR (Zhu et al., ECCV 2022) decode by running the whole
prefix through the decoder for every token, gather co-content features token by token, write out
attention weights and the distance of every query to every cell. These functions do so too, with the
parameters of :class:`mmrefseg.models.heads.SeqTRHead` and this package's conventions, so that results
are equal and only the way differs.
Of Partial-RES' code, :func:`generate` and :func:`co_content_of` do what ``SeqHead.generate`` in
``seqtr/models/heads/seq_head.py`` does, :func:`co_content` what ``SeqHead.forward_train`` does;
:func:`decode_prefix` and the layers what ``AutoRegressiveTransformer.forward_decoder`` and the layers of
``seqtr/core/layers/transformer.py`` do, :func:`gaussian_bias` the point modulation in the decoder layer's
``forward``, :func:`cross_attention` ``multi_head_attention_forward`` of ``seqtr/core/layers/attention.py``,
which averages the attention weights over the heads by default. Only the last position's logits are computed,
there as here.
Letters: M sequences, L tokens, S memory positions, C channels, A heads, H W grid.
"""

import contextlib
import functools
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from mmrefseg.models.heads.seqtr_head import SeqTRHead
from mmrefseg.models.layers.attention import MultiHeadAttention
from mmrefseg.models.layers.memory import Memory
from mmrefseg.models.layers.partial_res import SMCA_DIVISOR, PointModulation
from mmrefseg.models.layers.transformer import Decoder, DecoderLayer, EncoderLayer


def self_attention(
    attn: MultiHeadAttention, query: Tensor, value: Tensor, mask: Tensor | None, padding: Tensor | None
) -> Tensor:
    """Self-attention as :class:`torch.nn.MultiheadAttention` does it: sequence first, its weights returned.

    Args:
        attn: Whose weights and dropout.
        query: (M, L, C), queries and keys.
        value: (M, L, C).
        mask: (L, L), added to the logits.
        padding: (M, L) bool, keys that are hidden.

    Returns:
        (M, L, C).
    """
    query, value = query.transpose(0, 1), value.transpose(0, 1)
    attended, _weights = F.multi_head_attention_forward(
        query, query, value, query.shape[-1], attn.num_heads, attn.in_proj_weight, attn.in_proj_bias,
        None, None, False, attn.dropout, attn.out_proj.weight, attn.out_proj.bias, attn.training,
        key_padding_mask=padding, need_weights=True, attn_mask=mask,
    )  # fmt: skip
    return attended.transpose(0, 1)


def cross_attention(
    attn: MultiHeadAttention, query: Tensor, memory: Memory, gaussian: Tensor | None
) -> Tensor:
    """Attention to the image: keys and values projected anew, one mask per sequence, head and query.

    Args:
        attn: Whose weights and dropout.
        query: (M, L, C).
        memory: The encoder output.
        gaussian: (L, HW, M*A) from :func:`gaussian_bias`.

    Returns:
        (M, L, C).
    """
    m, steps, c = query.shape
    heads = attn.num_heads
    inputs = (query, memory.tokens + memory.position, memory.tokens)
    parts = zip(inputs, attn.in_proj_weight.chunk(3), attn.in_proj_bias.chunk(3), strict=True)
    query, key, value = (
        F.linear(x.transpose(0, 1), weight, bias).contiguous().view(-1, m * heads, c // heads).transpose(0, 1)
        for x, weight, bias in parts
    )  # (MA, L or S, C/A)
    mask = torch.zeros(memory.padding.shape).masked_fill(memory.padding, float('-inf'))
    mask = mask[:, None].repeat(1, heads, 1).view(m * heads, 1, -1).repeat(1, steps, 1)
    if gaussian is not None:
        cells = gaussian.shape[1]
        mask[..., :cells] = mask[..., :cells] + gaussian.permute(2, 0, 1)
    logits = torch.bmm(query / query.shape[-1] ** 0.5, key.transpose(1, 2)) + mask
    weights = F.dropout(logits.softmax(-1), attn.dropout, attn.training)
    attended = torch.bmm(weights, value).transpose(0, 1).contiguous().view(steps, m, c)
    weights.view(m, heads, steps, -1).mean(1)  # the weights that the module returns and nobody reads
    return attn.out_proj(attended).transpose(0, 1)


def gaussian_bias(module: PointModulation, query: Tensor, memory: Memory) -> Tensor:
    """Point modulation from the distance of every query's points to every cell: (L, HW, M*A)."""
    h, w = memory.grid
    m, steps, _ = query.shape
    point, scale = module.point(query).unflatten(-1, (2, module.num_heads, 2)).unbind(2)  # (M, L, A, 2)
    point = point.sigmoid() * memory.valid[:, None, None]
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing='ij')
    grid = torch.stack([x, y], -1).float().view(-1, 1, 2).repeat(1, m * module.num_heads, 1)  # (HW, MA, 2)
    point = point.transpose(0, 1).reshape(steps, 1, -1, 2)  # (L, 1, MA, 2)
    scale = scale.transpose(0, 1).reshape(steps, 1, -1, 2)
    distance = (point - (grid + 0.5)[None]).pow(2) * (scale * scale)
    return -(distance.sum(-1) - 0).abs() / SMCA_DIVISOR  # the original's subtraction of nothing


def _encoder_layer(layer: EncoderLayer, x: Tensor, position: Tensor, bias: Tensor | None) -> Tensor:
    padding = None if bias is None else bias[:, 0, 0] < 0
    x = layer.norm1(x + layer.dropout(self_attention(layer.self_attn, x + position, x, None, padding)))
    return layer.norm2(x + layer.dropout(layer.ffn(x)))


def _decoder_layer(layer: DecoderLayer, x: Tensor, position: Tensor, memory: Memory) -> Tensor:
    steps = x.shape[1]
    causal = torch.full((steps, steps), float('-inf')).triu(1)
    x = layer.norm1(x + layer.dropout(self_attention(layer.self_attn, x + position, x, causal, None)))
    modulation = layer.point_modulation
    gaussian = None if modulation is None else gaussian_bias(modulation, x, memory)
    x = layer.norm2(x + layer.dropout(cross_attention(layer.cross_attn, x + position, memory, gaussian)))
    return layer.norm3(x + layer.dropout(layer.ffn(x)))


def decode_prefix(decoder: Decoder, x: Tensor, memory: Memory) -> Tensor:
    """A whole prefix through the decoder, keys and values of the memory projected anew: (M, L, C)."""
    position = decoder.position.weight[: x.shape[1]]
    for layer in decoder.layers:
        x = _decoder_layer(layer, x, position, memory)
    return decoder.norm(x)


def co_content_of(head: SeqTRHead, memory: Memory, sample: int, token: int, position: int) -> Tensor:
    """The mean of one line of one image's map (C,): a column for an x token, a row for a y token."""
    if token >= head.codec.num_bins:
        return memory.tokens.new_zeros(memory.tokens.shape[-1])
    axis = position % 2
    line = int((token + 0.5) / head.codec.num_bins * memory.extent[sample, axis].item())
    image, padding = memory.image_tokens[sample], memory.image_padding[sample]
    line = min(line, image.shape[1 - axis] - 1)
    features = image[line] if axis else image[:, line]
    valid = ~(padding[line] if axis else padding[:, line])
    return features[valid].sum(0) / max(int(valid.sum()), 1)


def co_content(head: SeqTRHead, tokens: Tensor, memory: Memory) -> Tensor:
    """Co-content features of teacher-forced tokens (M, L), one at a time: (M, L, C)."""
    rows = [
        torch.stack(
            [co_content_of(head, memory, sample, int(token), position) for position, token in enumerate(row)]
        )
        for sample, row in enumerate(tokens)
    ]
    return torch.stack(rows)


def generate(head: SeqTRHead, memory: Memory) -> tuple[Tensor, Tensor]:
    """Decode masks greedily, the whole prefix anew for each token.

    Returns:
        Tokens (M, 2P + 1) and their log probabilities.
    """
    m = memory.tokens.shape[0]
    x = head.task_prompt.weight.expand(m, 1, -1)
    tokens, log_probs = [], []
    for position in range(head.num_mask_tokens + 1):
        logits = head.predictor(decode_prefix(head.decoder, x, memory)[:, -1])
        value, token = logits.log_softmax(-1).max(-1)
        tokens.append(token)
        log_probs.append(value)
        feature = torch.zeros_like(x[:, 0])
        for sample in range(m):
            feature[sample] = co_content_of(head, memory, sample, int(token[sample]), position)
        x = torch.cat([x, (head.token_embedding(token) + feature)[:, None]], 1)
    return torch.stack(tokens, 1), torch.stack(log_probs, 1)


@contextlib.contextmanager
def loop_form(head: SeqTRHead) -> Iterator[None]:
    """Within it the head trains in the originals' way: encoder, co-content features and decoder as above."""
    changed = [(layer, functools.partial(_encoder_layer, layer)) for layer in head.encoder.layers]
    changed.append((head.co_content, lambda tokens, memory: co_content(head, tokens, memory)))
    changed.append((head.decoder, functools.partial(decode_prefix, head.decoder)))
    for module, forward in changed:
        module.forward = forward
    try:
        yield
    finally:
        for module, _ in changed:
            del module.forward
