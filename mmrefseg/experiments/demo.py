"""``make demo``: what it says first and what it runs."""

from ..utils.places import is_shipped
from .few_masks import BOX_FRAME, BOX_REFINER, FROZEN_BOX_FRAME, PARTIAL_RES, PartialStudy, Variant
from .stages import Stage

DEFAULT = BOX_REFINER
"""What gave the best masks from few on val (docs/refiner.md)."""
MINUTES = {BOX_REFINER.name: 11, BOX_FRAME.name: 7, FROZEN_BOX_FRAME.name: 6, PARTIAL_RES.name: 9}
"""Of all stages with RefShapes small from the package's weights, on two cores."""
REC_MINUTES = 18
"""What training the boxes-only network adds."""
OWN = f"this package's own method (--network {PARTIAL_RES.name} runs the paper's)"
ABOUT = {
    BOX_REFINER.name: OWN,
    FROZEN_BOX_FRAME.name: OWN,
    BOX_FRAME.name: OWN,
    PARTIAL_RES.name: f"the paper's network (without --network runs {DEFAULT.title}, this package's own)",
}


def opening_line(study: PartialStudy) -> str:
    """Which network runs, from which weights, and how long."""
    start = f'from {study.rec_checkpoint} (boxes only; no mask was seen)'
    if study.trains_rec:
        start = 'from nothing'
    elif not is_shipped(study.rec_checkpoint):
        start = f'from {study.rec_checkpoint}'
    minutes = MINUTES[study.network.name] + REC_MINUTES * study.trains_rec
    lasts = f': about {minutes} minutes on two cores' if study.size == 'small' else ''
    return f'{study.network.title}, {ABOUT[study.network.name]}, {start}{lasts}'


def demo_stages(study: PartialStudy, ratio: int) -> list[Stage]:
    """Data, boxes, few masks, pseudo points, selection, retraining; each network is tested by every readout.

    Last, where the network can, the scores of the retrained one.

    Args:
        study: Folder, seed, network and start.
        ratio: Percent of the masks.
    """
    return [
        study.data(),
        study.samples((1, 5, 10)),
        *study.rec(),
        *study.variant(Variant(ratio)),
        study.predict(ratio),
        *study.variant(Variant(ratio, 'rpp')),
        *([study.quality(Variant(ratio, 'rpp'))] if study.network.predicts_quality else []),
    ]
