"""Stage 3, step two: which pseudo masks the objects without a true mask get.

Only the sample file (in which the other masks are physically absent) and the predictions are read here: no
true mask outside the sample can influence the choice or reach the output.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..datasets.predicted_pairs import Checkpoint
from ..utils import UserInputError
from .decisions import ACCEPT
from .prediction_shards import PredictionStore
from .scoring import AGREEMENT_THRESHOLD, STRATEGIES, Candidate, choose_best, judge, vote_of_all

# So many objects' masks are judged at once; beyond a hundred the time per object hardly falls.
CHUNK = 128
COMBINE = ('best', 'vote')


class Outcome(NamedTuple):
    """What became of one object.

    Attributes:
        record: Its record for the picked file: with a mask if it has a true one or an accepted pseudo mask.
        state: ``'true'`` (has its own mask), ``'accepted'``, ``'rejected'`` or ``'unpredicted'``.
        chosen: The mask that was accepted or rejected, if there was a prediction.
        value: The number that was compared with the threshold; NaN without a prediction.
        ruled: What the rule says, where a person has decided: ``'accepted'`` or ``'rejected'``; else None.
    """

    record: dict
    state: str
    chosen: Candidate | None = None
    value: float = math.nan
    ruled: str | None = None

    def without_mask(self) -> 'Outcome':
        """The outcome without its mask's runs, to keep for the report."""
        return self._replace(chosen=self.chosen and self.chosen._replace(rle=None))


class Selector:
    """Decides object by object, independently and deterministically: linear in their number.

    Args:
        strategy: ``'rpp'`` (projections of the mask against the true box, accepted below the threshold),
            ``'score'`` (the model's confidence), ``'agreement'`` (mean pairwise IoU of the object's
            expressions' masks; both accepted at or above the threshold), ``'rpp+agreement'`` (both),
            ``'all'`` (every mask that is not empty).
        threshold: See ``strategy``; default 0.1 for RPP (the paper's), 0.5 for the score, 0.7 for agreement.
        agreement_threshold: The second threshold of ``'rpp+agreement'``.
        combine: ``'best'`` keeps the mask of the expression that the strategy prefers, ``'vote'`` the
            pixels that at least half of the expressions' masks hold.
        checkpoint: What predicted, where the predictions do not say.
        decisions: What a person has decided, ``'accept'`` or ``'reject'`` by ``ref_id``: it counts instead of
            the strategy (:mod:`mmrefseg.pseudo_labels.decisions`).

    Raises:
        UserInputError: If an argument is out of its range.
    """

    def __init__(
        self,
        strategy: str = 'rpp',
        threshold: float | None = None,
        agreement_threshold: float = AGREEMENT_THRESHOLD,
        combine: str = 'best',
        checkpoint: Checkpoint = Checkpoint(),
        decisions: Mapping[int, str] | None = None,
    ) -> None:
        if strategy not in STRATEGIES:
            raise UserInputError.of(
                'strategy', repr(strategy), f'one of {", ".join(STRATEGIES)}', 'correct it'
            )
        if combine not in COMBINE:
            raise UserInputError.of('combine', repr(combine), f'one of {", ".join(COMBINE)}', 'correct it')
        self.name = strategy
        self.strategy = STRATEGIES[strategy]
        self.threshold = self.strategy.threshold if threshold is None else threshold
        self.agreement_threshold = agreement_threshold
        self.combine = combine
        self.checkpoint = checkpoint
        self.decisions = decisions or {}
        if strategy == 'all' and threshold is not None:
            raise UserInputError.of("strategy 'all'", f'threshold {threshold}', 'none', 'leave it out')
        for name, value, limits in (
            ('threshold', self.threshold, self.strategy.limits),
            ('agreement_threshold', agreement_threshold, (0.0, 1.0)),
        ):
            if value is not None and not limits[0] <= value <= limits[1]:
                raise UserInputError.of(name, str(value), f'{limits[0]} to {limits[1]}', 'correct it')

    def decide(self, record: dict, candidates: Sequence[Candidate]) -> Outcome:
        """Decide on one object.

        Args:
            record: Its record in the sample file.
            candidates: Its expressions' masks (:func:`mmrefseg.pseudo_labels.scoring.judge`).
        """
        if record.get('mask') is not None:
            return Outcome(record, 'true')
        if not candidates:
            return Outcome(record, 'unpredicted')
        if self.name == 'score' and any(math.isnan(candidate.score) for candidate in candidates):
            raise UserInputError.of(
                f'predictions of ref_id {record["ref_id"]}',
                'no score',
                'a score in each',
                "use strategy 'rpp'",
            )
        if self.combine == 'vote':
            chosen = vote_of_all(candidates, record['bbox'])
        else:
            chosen = choose_best(candidates, self.strategy)
        value = self.strategy.value(chosen)
        accepted = self.strategy.accepts(chosen, self.threshold, self.agreement_threshold)
        ruled = None
        if record['ref_id'] in self.decisions:
            ruled = 'accepted' if accepted else 'rejected'
            accepted = self._person_accepts(record['ref_id'], chosen)
        if not accepted:
            return Outcome(record, 'rejected', chosen, value, ruled)
        return Outcome(self._with_mask(record, chosen, bool(ruled)), 'accepted', chosen, value, ruled)

    def _person_accepts(self, ref_id: int, chosen: Candidate) -> bool:
        accepted = self.decisions[ref_id] == ACCEPT
        if accepted and chosen.empty:
            raise UserInputError.of(
                f'the decision {ACCEPT!r} about ref_id {ref_id}',
                'a mask without a pixel',
                'one to learn from',
                'remove the decision',
            )
        return accepted

    def _with_mask(self, record: dict, chosen: Candidate, by_person: bool) -> dict:
        quality = self.strategy.quality(chosen)
        source = chosen.source if any(chosen.source) else self.checkpoint
        points = {} if chosen.points is None else {'mask_points': chosen.points}
        person = {'accepted_by': 'person'} if by_person else {}
        return {
            **record,
            'mask': chosen.rle,
            'mask_source': {'kind': 'pseudo', **source._asdict(), **person},
            'mask_score': None if math.isnan(quality) else quality,
            'mask_rpp': chosen.term,
            'mask_expression': chosen.expression,
            **points,
        }


def select(
    objects: list[dict],
    store: PredictionStore,
    selector: Selector,
    progress: Callable[[Iterable[dict]], Iterable[dict]] = iter,
) -> Iterator[Outcome]:
    """Decide on every object of the sample's training split, in its order.

    Args:
        objects: Records, normalised (:func:`mmrefseg.datasets.annotations.normalize_records`); those to
            be decided on lack ``mask``.
        store: The predictions.
        selector: How to decide.
        progress: Wraps the loop, for a progress bar.

    Raises:
        UserInputError: If no object without a mask has a prediction, or a prediction is bad.
    """
    wanted: set[Any] = {record['ref_id'] for record in objects if record.get('mask') is None}
    if wanted and not wanted & store.ref_ids:
        raise UserInputError.of(
            'predictions',
            f'none for the {len(wanted)} objects without a mask (their ref_ids begin {sorted(wanted)[:5]})',
            'predictions of the same annotation file',
            'check --predictions and --annotations',
        )
    records = iter(progress(objects))
    while chunk := list(itertools.islice(records, CHUNK)):
        predictions = [
            store.of_object(record['ref_id']) if record['ref_id'] in wanted else [] for record in chunk
        ]
        yield from map(selector.decide, chunk, judge(chunk, predictions))
