"""LAVT's gate without the instance norms, for networks that learn words and pictures from scratch.

Letters: M expressions, T words, L = H * W cells, C channels of the map, D channels of the words.
"""

from torch import Tensor, nn


class SentenceGate(nn.Module):
    """Pixel-word attention plus the sentence as a whole, then LAVT's gate.

    As in :class:`LanguageGate`, each cell gathers words, the map is multiplied with what it gathered, and
    ``x + tanh(...)(fused) * fused`` goes on. Three things differ, all for training from scratch:

    - No instance norm behind the attention. At first every cell gathers the same words, the norm subtracts
      just that, and nothing of the sentence is left until the attention has learned to tell cells apart.
    - A linear map of the sentence vector is added to what a cell gathers.
    - The map is multiplied with ``1 + tanh(gathered)``: words turn channels up and down, but none is lost
      before the words are understood.

    Args:
        channels: C.
        language_channels: D, of words and of sentence vectors.
        last: Leave the gate out: the last map goes to the decoder only.
    """

    def __init__(self, channels: int, language_channels: int, last: bool = False) -> None:
        super().__init__()
        self.scale = channels**-0.5
        self.norm = nn.LayerNorm(channels)
        self.vision = nn.Linear(channels, channels)
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(language_channels, channels)
        self.value = nn.Linear(language_channels, channels)
        self.sentence = nn.Linear(language_channels, channels)
        self.project = nn.Linear(channels, channels)
        self.gate = None
        if not last:
            self.gate = nn.Sequential(
                nn.Linear(channels, channels, bias=False),
                nn.ReLU(),
                nn.Linear(channels, channels, bias=False),
                nn.Tanh(),
            )

    def forward(self, x: Tensor, words: Tensor, mask: Tensor, sentence: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse and gate.

        Args:
            x: Map (M, H, W, C).
            words: (M, T, D).
            mask: (M, T), True at real words.
            sentence: (M, D).

        Returns:
            The fused map for the decoder and the gated one for the next stage, (M, H, W, C) each.
        """
        cells = self.norm(x.flatten(1, 2))
        logits = self.query(cells) @ self.key(words).transpose(1, 2) * self.scale
        # -1e4, not -inf: an expression without words sees its padding
        weight = logits.masked_fill(~mask[:, None], -1e4).softmax(-1)
        gathered = weight @ self.value(words) + self.sentence(sentence)[:, None]
        fused = self.project(self.vision(cells) * (1 + gathered.tanh())).view_as(x)
        if self.gate is None:
            return fused, x
        return fused, x + self.gate(fused) * fused
