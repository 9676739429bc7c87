"""Greedy step-by-step decoding of coordinate tokens.

Letters: M expressions, V token classes (bins and the end token), C channels.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.memory import Memory


class Decoding:
    """Sequences of one batch, decoded position by position with the keys and values of the positions before.

    Args:
        head: A :class:`SeqTRHead`, whose decoder, predictor and embedding it is done with.
        memory: What the decoder looks at, of M expressions.
        first_position: Where in the decoder's table of positions the sequences begin.
    """

    def __init__(self, head: nn.Module, memory: Memory, first_position: int = 0) -> None:
        self.head, self.memory = head, memory
        self.cache = head.decoder.start(first_position)
        self.lines = None if head.co_content is None else head.co_content.lines(memory)

    @torch.inference_mode()  # as in :func:`generate`: what is cached by one is read by the other
    def step(self, x: Tensor) -> Tensor:
        """What the next position is, embedded (M, C) -> logits (M, V) of the token that follows."""
        return self.head.predictor(self.head.decoder(x[:, None], self.memory, cache=self.cache)[:, 0])

    def embed(self, tokens: Tensor, position: int) -> Tensor:
        """Tokens (M,) of a position of their task's sequence -> (M, C)."""
        x = self.head.token_embedding(tokens)
        if self.lines is None:
            return x
        axis = position % 2  # x and y in turn
        content, extent = self.head.co_content, self.memory.extent[:, axis]
        return x + content.gather(tokens[:, None], self.lines[axis], extent)[:, 0]


@dataclass
class GeneratedSequence:
    """What decoding gives.

    Attributes:
        tokens: (M, steps) int64.
        log_probs: (M, steps) log probability of each token under the model, before
            any restriction of the choice.
        logits: (M, steps, V), kept on request.
    """

    tokens: Tensor
    log_probs: Tensor
    logits: Tensor | None = None


@dataclass
class TokenChoice:
    """Which tokens may be chosen.

    Attributes:
        end_token: The end class, the last one; bins are smaller.
        first_end: The first step at which the end may be chosen (``None``: never).
        bins: (M, 4) lowest x, lowest y, highest x, highest y bin that may be chosen.
    """

    end_token: int
    first_end: int | None = 0
    bins: Tensor | None = None

    def best(self, logits: Tensor, position: int) -> Tensor:
        """The most probable tokens (M,) by logits (M, V) that may be chosen at this position."""
        may_end = self.first_end is not None and position >= self.first_end
        if self.bins is None:
            # the end is the last class
            return (logits if may_end else logits[:, : self.end_token]).argmax(-1)
        axis = position % 2
        classes = torch.arange(logits.shape[-1], device=logits.device)
        hidden = (classes < self.bins[:, axis, None]) | (classes > self.bins[:, axis + 2, None])
        # A point has both its coordinates.
        hidden[:, self.end_token] = axis == 1 or not may_end
        return logits.masked_fill(hidden, float('-inf')).argmax(-1)


def generate(
    decoding: Decoding,
    start: Tensor,
    steps: int,
    choice: TokenChoice,
    keep_logits: bool = False,
    known: Tensor | None = None,
) -> GeneratedSequence:
    """Decode ``steps`` tokens, each the most probable that ``choice`` allows.

    Args:
        decoding: The positions before; moves on by ``steps``.
        start: (M, C) what comes before the first token.
        steps: Tokens to decode. It stops earlier once every sequence has ended; the
            rest is filled with the end token, log probability 0.
        choice: Which tokens may be chosen.
        keep_logits: Return the logits too, and decode every step.
        known: (M, steps) tokens to take instead of the most probable ones.

    Returns:
        The sequence.
    """
    with torch.inference_mode():  # a step is two hundred small operations: each costs a sixth less
        chosen, logits = _decode(decoding, start, steps, choice, keep_logits, known)
        log_probs = logits.float().log_softmax(-1).gather(2, chosen[..., None])[..., 0]
    missing = steps - chosen.shape[1]  # padding makes plain tensors of what inference mode made
    return GeneratedSequence(
        F.pad(chosen, (0, missing), value=choice.end_token),
        F.pad(log_probs, (0, missing)),
        logits.clone() if keep_logits else None,
    )


def _decode(
    decoding: Decoding,
    x: Tensor,
    steps: int,
    choice: TokenChoice,
    to_the_end: bool,
    known: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Tokens (M, L) and logits (M, L, V), L at most ``steps``."""
    chosen, kept = [], []
    ended = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    for position in range(steps):
        kept.append(decoding.step(x))
        token = choice.best(kept[-1], position) if known is None else known[:, position]
        chosen.append(token)
        ended |= token == choice.end_token
        if ended.all() and not to_the_end:
            break
        if position + 1 < steps:
            x = decoding.embed(token, position)
    return torch.stack(chosen, 1), torch.stack(kept, 1)


def sequence_score(sequence: GeneratedSequence, end_token: int) -> Tensor:
    """Geometric mean of the token probabilities up to and including the first end: (M,) in [0, 1]."""
    is_end = sequence.tokens == end_token
    after = is_end.cumsum(1) - is_end.long() > 0  # positions behind the first end
    count = (~after).sum(1)
    return (sequence.log_probs.masked_fill(after, 0).sum(1) / count).exp()
