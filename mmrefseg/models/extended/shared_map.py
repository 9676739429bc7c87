"""Maps of pictures that several expressions share.

Letters: B pictures, M expressions, C channels, H W cells.
"""

from typing import NamedTuple

from torch import Tensor


class PictureMaps(NamedTuple):
    """What no word has touched, of B pictures.

    Attributes:
        coarse: (B, H, W, C) the map that sentences are brought into.
        finer: (B, C', H', W') maps for the decoder, finest first.
        evidence: (B, H, W, C) the same map, normalised: what words are matched with and what the losses of
            the picture teach.
    """

    coarse: Tensor
    finer: tuple[Tensor, ...]
    evidence: Tensor

    @property
    def device(self):
        """Of the tensors."""
        return self.coarse.device

    def picture(self, i: int) -> 'PictureMaps':
        """The maps of one picture."""
        row = slice(i, i + 1)
        return PictureMaps(self.coarse[row], tuple(x[row] for x in self.finer), self.evidence[row])


class SharedMap(NamedTuple):
    """A map of M expressions that is the same for all expressions of a picture.

    Attributes:
        x: (B, C, H, W), one row per picture.
        index: (M,) the picture of each expression; ``None`` if M = B, one each.
    """

    x: Tensor
    index: Tensor | None

    def rows(self, x: Tensor) -> Tensor:
        """Rows of pictures (B, ...) -> rows of expressions (M, ...)."""
        return x if self.index is None else x[self.index]
