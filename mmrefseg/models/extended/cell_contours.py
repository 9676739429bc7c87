"""Contours around what a box's cells say lies inside: a second way from the box's features to its contour.

Letters: M expressions, G cells along each side, S parts of a cell along each side, P vertices.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ...codecs.contour_codec import ContourCodec
from ..heads.sequence_generator import GeneratedSequence


def contours_of_cells(logits: Tensor, codec: ContourCodec) -> GeneratedSequence:
    """Tokens of the contours of dense masks, in the frames that the masks fill.

    The mask is enlarged to one pixel a bin, cut at a logit of 0, and encoded as a true mask is.

    Args:
        logits: (M, GS, GS), positive inside.
        codec: How a mask becomes a contour.

    Returns:
        Tokens (M, 2P + 1), nothing but ends where nothing is inside. Every log probability is the log of
        the mean probability with which the parts are on their side, so that this is the sequence's score.
    """
    width, height = codec.padded_size((codec.num_bins, codec.num_bins))
    enlarged = F.interpolate(logits[:, None].float(), (height, width), mode='bilinear')[:, 0]
    inside = (enlarged > 0).cpu().numpy()
    rows = [torch.from_numpy(codec.encode_mask(mask, mask.shape)) for mask in inside]
    tokens = F.pad(torch.stack(rows), (0, 1), value=codec.end_token).to(logits.device)
    certain = logits.float().abs().sigmoid().mean((1, 2)).log()
    return GeneratedSequence(tokens, certain[:, None].expand(tokens.shape))
