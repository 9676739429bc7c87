"""What a box says of the mask inside it, as losses: BoxInst (Tian et al., CVPR 2021).

Letters: M windows around boxes, R pixels along each side of a window, C channels of the image.
"""

import torch
import torch.nn.functional as F
from mmdet.models.utils import unfold_wo_center
from torch import Tensor

# Keeps the dice of an empty pair of projections finite.
SMALL = 1e-3


def projection_loss(logits: Tensor, columns: Tensor, rows: Tensor) -> Tensor:
    """How far the mask's extent is from the box's: its largest probability in each row and column.

    BoxInst's projection term, a dice loss of each axis; as a number of a finished mask it is what RPP
    (Partial-RES) selects pseudo masks by.

    Args:
        logits: (M, R, R), positive inside.
        columns: (M, R) 1 where a column of the window crosses the box, else 0.
        rows: (M, R) the same of rows.

    Returns:
        (M,) the sum over both axes, from 0 (touches every side, and nothing outside) to 2.
    """
    probability = logits.sigmoid()
    return _dice(probability.amax(1), columns) + _dice(probability.amax(2), rows)


def _dice(found: Tensor, wanted: Tensor) -> Tensor:
    overlap = 2 * (found * wanted).sum(1) + SMALL
    return 1 - overlap / ((found * found).sum(1) + (wanted * wanted).sum(1) + SMALL)


def outside_loss(logits: Tensor, inside: Tensor) -> Tensor:
    """Cross-entropy of the pixels outside of the box, which are background.

    Args:
        logits: (M, R, R), positive inside the object.
        inside: (M, R, R) 1 in the box, else 0.

    Returns:
        (M,) means; 0 where a window has nothing outside of its box.
    """
    outside = 1 - inside
    return (F.softplus(logits) * outside).sum((1, 2)) / outside.sum((1, 2)).clamp(min=1)


def colour_affinity_loss(
    logits: Tensor, images: Tensor, inside: Tensor, same_colour: float, distance: int = 2
) -> Tensor:
    """How unlikely it is that neighbours of one colour are on one side of the mask's edge.

    BoxInst's pairwise term. A pair counts if at least one of the two pixels lies in the box and their colours
    are alike; those that differ may be anything, so that an edge moves to where the image has one.

    Args:
        logits: (M, R, R), positive inside.
        images: (M, C, R, R) the image in the windows.
        inside: (M, R, R) 1 in the box, else 0.
        same_colour: The largest distance of two colours that count as one, in units of ``images``. (BoxInst
            compares exp(-distance / 2) in CIELAB with 0.3, a distance of 2.4.)
        distance: Pixels between neighbours.

    Returns:
        A scalar, the mean over all pairs that count.
    """
    colours = unfold_wo_center(images, 3, distance)  # (M, C, 8, R, R)
    alike = (colours - images[:, :, None]).square().sum(1) <= same_colour**2
    near = torch.maximum(unfold_wo_center(inside[:, None], 3, distance)[:, 0], inside[:, None])
    # beyond the window's edge there is padding, not a neighbour
    there = unfold_wo_center(torch.ones_like(inside[:, None]), 3, distance)[:, 0]
    counts = alike * near * there
    foreground, background = F.logsigmoid(logits)[:, None], F.logsigmoid(-logits)[:, None]
    both = foreground + unfold_wo_center(foreground, 3, distance)[:, 0]
    neither = background + unfold_wo_center(background, 3, distance)[:, 0]
    return -(torch.logaddexp(both, neither) * counts).sum() / counts.sum().clamp(min=1)
