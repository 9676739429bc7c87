"""LAVT's meeting of image and sentence: pixel-word attention and language gate (Yang et al., CVPR 2022).

Letters: M expressions, T words, L = H * W cells, C channels of the map, D channels of the words.
"""

import torch
from torch import Tensor, nn


class TokenInstanceNorm(nn.Module):
    """Instance norm of cells in a row: each channel of each sample over its L cells.

    Args:
        channels: C.
        affine: Learn a scale and an offset per channel.
        eps: Added to the variance.
    """

    def __init__(self, channels: int, affine: bool = False, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """(M, L, C) -> (M, L, C)."""
        var, mean = torch.var_mean(x, 1, correction=0, keepdim=True)
        x = (x - mean) * (var + self.eps).rsqrt()
        return x if self.weight is None else x * self.weight + self.bias


class PixelWordAttention(nn.Module):
    """Each cell gathers the words that fit it, and the map is multiplied with what it gathered (PWAM).

    Args:
        channels: C.
        language_channels: D.
        num_heads: Heads of the attention.
        dropout: Behind the two projections.
        activation: Of the two projections.
        affine: Whether the instance norms have parameters.
        use_mask: Leave padding out of the attention.
        scale_by_head: Divide logits by the root of a head's channels; otherwise by the root of C.
    """

    def __init__(
        self,
        channels: int,
        language_channels: int,
        num_heads: int = 1,
        dropout: float = 0.0,
        activation: type[nn.Module] = nn.GELU,
        affine: bool = False,
        use_mask: bool = True,
        scale_by_head: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.use_mask = use_mask
        self.scale = (channels // num_heads if scale_by_head else channels) ** -0.5
        self.project_vision = nn.Sequential(nn.Linear(channels, channels), activation(), nn.Dropout(dropout))
        self.query = nn.Linear(channels, channels)
        self.norm_query = TokenInstanceNorm(channels, affine)
        self.key = nn.Linear(language_channels, channels)
        self.value = nn.Linear(language_channels, channels)
        self.output = nn.Linear(channels, channels)
        self.norm_output = TokenInstanceNorm(channels, affine)
        self.project = nn.Sequential(nn.Linear(channels, channels), activation(), nn.Dropout(dropout))

    def forward(self, x: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """Cells (M, L, C), words (M, T, D), mask (M, T), True at real words -> (M, L, C)."""
        gathered = self.norm_output(self.output(self._gather(x, words, mask)))
        return self.project(self.project_vision(x) * gathered)

    def _gather(self, x: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        def heads(item: Tensor) -> Tensor:
            return item.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (M, A, L or T, C / A)

        query, key, value = (
            heads(self.norm_query(self.query(x))),
            heads(self.key(words)),
            heads(self.value(words)),
        )
        # (M, A, L, T); T is small, so that the plain products are as fast as fused attention
        logits = query @ key.transpose(-2, -1) * self.scale
        if self.use_mask:
            # -1e4 as in the original: an expression without words sees its padding
            logits = logits + (mask[:, None, None].to(logits.dtype) * 1e4 - 1e4)
        return (logits.softmax(-1) @ value).transpose(1, 2).flatten(2)


class LanguageGate(nn.Module):
    """LAVT's gate after a stage: ``x + tanh(...)(fused) * fused``.

    Args:
        channels: C.
        language_channels: D.
        num_heads: Heads of the pixel-word attention.
        dropout: See :class:`PixelWordAttention`.
        scale_by_head: See :class:`PixelWordAttention`.
        last: The last stage's map goes to the decoder only, so that its gate is left out (the original has
            one that is never trained).
    """

    def __init__(
        self,
        channels: int,
        language_channels: int,
        num_heads: int = 1,
        dropout: float = 0.0,
        scale_by_head: bool = False,
        last: bool = False,
    ) -> None:
        super().__init__()
        self.fusion = PixelWordAttention(
            channels, language_channels, num_heads, dropout, scale_by_head=scale_by_head
        )
        self.gate = None
        if not last:
            self.gate = nn.Sequential(
                nn.Linear(channels, channels, bias=False),
                nn.ReLU(),
                nn.Linear(channels, channels, bias=False),
                nn.Tanh(),
            )

    def forward(self, x: Tensor, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Map (M, H, W, C), words (M, T, D), mask (M, T).

        Returns:
            The fused map for the decoder and the gated one for the next stage, (M, H, W, C) each.
        """
        fused = self.fusion(x.flatten(1, 2), words, mask).view_as(x)
        if self.gate is None:
            return fused, x
        return fused, x + self.gate(fused) * fused


class SwappedLanguageGate(nn.Module):
    """The gate of LAVT-pytorch, which swaps the pathway's arguments: ``fused + tanh(...)(x) * x``.

    Its attention has ReLU for GELU, affine norms, and attends to padding.

    Args:
        channels: C.
        language_channels: D.
        last: See :class:`LanguageGate`.
        swapped: Swap the arguments; otherwise ``x + tanh(...)(fused) * fused``, as in LAVT's paper.
        use_mask: Leave padding out of the attention; LAVT-pytorch does not.
    """

    def __init__(
        self,
        channels: int,
        language_channels: int,
        last: bool = False,
        swapped: bool = True,
        use_mask: bool = False,
    ) -> None:
        super().__init__()
        self.swapped = swapped
        self.fusion = PixelWordAttention(
            channels, language_channels, activation=nn.ReLU, affine=True, use_mask=use_mask
        )
        self.gate = None
        if not last:
            self.gate = nn.Sequential(
                nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, channels), nn.Tanh()
            )

    def forward(self, x: Tensor, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`LanguageGate.forward`."""
        fused = self.fusion(x.flatten(1, 2), words, mask).view_as(x)
        if self.gate is None:
            return fused, x
        if self.swapped:
            return fused, fused + self.gate(x) * x
        return fused, x + self.gate(fused) * fused


GATES = {'lavt': LanguageGate, 'lavt_pytorch': SwappedLanguageGate}
