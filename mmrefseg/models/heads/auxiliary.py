"""What a segmentor shows its auxiliary heads while it trains; the heads themselves: ``models/extended``.

Letters: B images, M expressions (all pairs of the batch in a row), N objects of an image, T words,
C channels, H W grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mmdet.registry import MODELS
from torch import Tensor, nn

from ...utils import UserInputError
from ..layers.memory import Memory


@dataclass(frozen=True)
class AuxiliaryInputs:
    """What an auxiliary head may look at.

    Attributes:
        vision: (B, C, H, W) the images' map that no word has touched.
        stride: Pixels per cell of that map (vertical, horizontal).
        boxes: (N, 4) xyxy in pixels of the batch, for every image.
        labels: (N,) category ids, for every image.
        image_index: (M,) the image of each expression.
        box_cells: (M, 4) xyxy of the referents, in cells of the map.
        words: (M, T) token ids of the expressions.
        language_model: What reads them, for heads that share its parameters.
        fused: (M, C, H, W) the map that the expression was brought into, where the segmentor has one.
        memory: The encoder's output, where the segmentor has one; its grid is the map's.
    """

    vision: Tensor
    stride: tuple[float, float]
    boxes: Sequence[Tensor]
    labels: Sequence[Tensor]
    image_index: Tensor
    box_cells: Tensor
    words: Tensor
    language_model: nn.Module
    fused: Tensor | None = None
    memory: Memory | None = None


class AuxiliaryHead(nn.Module):
    """A head that teaches features in training and predicts nothing in testing.

    Args:
        name: Its name among the auxiliary heads of a segmentor: its loss is ``loss_<name>``, its parameters
            are ``auxiliary_heads.<name>.*``.
        loss_weight: Factor of the loss.
    """

    def __init__(self, name: str, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.name = name
        self.loss_weight = loss_weight

    def connect(self, language_model: nn.Module) -> None:
        """Called once, when the segmentor is built, for heads whose size depends on the vocabulary."""

    def loss(self, inputs: AuxiliaryInputs) -> dict[str, Tensor]:
        """``loss_<name>``, a scalar."""
        raise NotImplementedError


def build_auxiliary_heads(configs: Sequence[dict] | None, language_model: nn.Module) -> nn.ModuleDict:
    """The auxiliary heads of a segmentor by their names.

    Names, not positions, are the keys of a checkpoint: a network with one head less still takes the others'.

    Raises:
        UserInputError: Two heads have one name.
    """
    heads = nn.ModuleDict()
    for config in configs or ():
        head: AuxiliaryHead = MODELS.build(config)
        if head.name in heads:
            raise UserInputError.of(
                'auxiliary_heads', f'two heads called {head.name!r}', 'each once', 'remove one of them'
            )
        head.connect(language_model)
        heads[head.name] = head
    return heads
