"""Masks of the objects that have none, looked at by a person: what the page Review does, without the page.

A review is a folder: ``instances.json`` (what is annotated), ``pseudo.rank0.jsonl`` (predictions in the known
boxes) and ``decisions.json``, as tools/choose_pseudo_data.py takes them.
"""

import json
import re
import shlex
import threading
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from ..datasets.annotations import load_annotation_file, load_split
from ..datasets.converters.own_folder import read_own_folder
from ..datasets.predicted_pairs import Checkpoint
from ..pseudo_labels.decisions import ACCEPT, REJECT, Subject, as_content, read_decisions
from ..pseudo_labels.page import draw_card
from ..pseudo_labels.prediction_shards import PredictionStore, write_annotations
from ..pseudo_labels.review import Shown
from ..pseudo_labels.selection import Outcome, Selector, select
from ..structures.rle import box_of, encode_mask
from ..utils import UserInputError, atomic_write, dump_json, file_sha256, make_folder
from ..utils.places import is_shipped, shipped_weights
from ..visualization.pages import data_uri
from .project import Project
from .proposals import Proposer

STRATEGY, COMBINE, SPLIT = 'score', 'best', 'train'
THRESHOLD = 0.75
PAGE = 12
"""Objects on a page."""
FOLDER = re.compile(r'review_(\d+)')
ORDERS = ('doubtful first', 'lowest score first', 'highest score first')


def predict_masks(
    project: Project, proposer: Proposer, progress: Callable[[Iterable], Iterable] = iter
) -> 'Review':
    """Predict the masks of all objects of the folder that have none, in their boxes, into a new review.

    Args:
        project: The folder.
        proposer: The network.
        progress: Wraps the loop over the photos.

    Raises:
        UserInputError: If every object has a mask, or the network draws none.
    """
    data = read_own_folder(project.folder)
    wanted = [record for record in data.splits[SPLIT] if record.get('mask') is None]
    if not wanted:
        raise UserInputError.of('Review', 'a mask of every object', 'some without', 'there is nothing to do')
    folder = project.runs / f'review_{_newest(project.runs) + 1}'
    make_folder(folder)
    dump_json(data.splits, folder / 'instances.json')
    weights = proposer.weights
    path = shipped_weights(weights) if is_shipped(weights) else weights
    source = Checkpoint.of_file(weights, file_sha256(path))._asdict()
    ordered = sorted(wanted, key=lambda record: record['file_name'])
    images = [list(group) for _, group in groupby(ordered, key=lambda record: record['file_name'])]
    with atomic_write(folder / 'pseudo.rank0.jsonl') as file:
        for records in progress(images):
            for line in _predictions(project, proposer, records):
                file.write(json.dumps(line | source) + '\n')
    return Review(project, folder)


def newest_review(project: Project) -> 'Review | None':
    """The review that was made last, with the decisions that were taken."""
    number = _newest(project.runs)
    folder = project.runs / f'review_{number}'
    return Review(project, folder) if (folder / 'pseudo.rank0.jsonl').is_file() else None


class Review:
    """Accept and reject masks; each decision is on the disk before the next.

    Args:
        project: Whose photos are shown.
        folder: Of the review.

    Raises:
        UserInputError: If its files do not fit one another.
    """

    def __init__(self, project: Project, folder: Path) -> None:
        self.project, self.folder = project, Path(folder)
        self.threshold = THRESHOLD
        self._lock = threading.RLock()
        self._annotations = self.folder / 'instances.json'
        self._files = [str(self.folder / 'pseudo.rank0.jsonl')]
        self._objects = load_split(self._annotations, SPLIT)
        self._subject = Subject.of_files(self._annotations, SPLIT, self._files, STRATEGY, COMBINE)
        path = self.decisions_file
        self.decisions: dict[int, str] = read_decisions([path], self._subject) if path.is_file() else {}
        with PredictionStore(self._files) as store:
            outcomes = list(select(self._objects, store, Selector(STRATEGY, self.threshold, combine=COMBINE)))
        self._outcomes = {
            outcome.record['ref_id']: outcome for outcome in outcomes if outcome.chosen is not None
        }
        self._cards: dict[int, dict[str, Any]] = {}

    @property
    def decisions_file(self) -> Path:
        """Where decisions are saved."""
        return self.folder / 'decisions.json'

    @property
    def command(self) -> str:
        """The command that takes the decisions and writes the file to train on."""
        words = [
            'mmrefseg', 'pseudo', '--annotations', self._annotations, '--predictions', *self._files,
            '--split', SPLIT, '--strategy', STRATEGY, '--threshold', f'{self.threshold:g}',
            *(['--decisions', self.decisions_file] if self.decisions else []),
            '--out', self.folder / 'picked.json',
        ]  # fmt: skip
        return shlex.join(map(str, words))

    def decide(self, ref_id: int, decision: str | None) -> None:
        """Accept or reject a mask, or leave it to the score.

        Args:
            ref_id: Of the object.
            decision: ``'accept'``, ``'reject'`` or None.

        Raises:
            UserInputError: If there is no such object or decision, or an empty mask is accepted.
        """
        with self._lock:
            outcome = self._outcomes.get(ref_id) if isinstance(ref_id, int) else None
            if outcome is None or decision not in (ACCEPT, REJECT, None):
                raise UserInputError.of(
                    f'the decision {decision!r} about ref_id {ref_id!r}'[:80], 'no such object or decision',
                    f'{ACCEPT!r} or {REJECT!r} about one on the page', 'reload the page',
                )  # fmt: skip
            if decision == ACCEPT and outcome.chosen.empty:
                raise UserInputError.of(
                    'the mask', 'no pixel', 'one to learn from', 'reject it, or draw it on the page Label'
                )
            decisions = {key: value for key, value in self.decisions.items() if key != ref_id}
            if decision is not None:
                decisions[ref_id] = decision
            dump_json(as_content(self._subject, decisions), self.decisions_file)
            self.decisions = decisions

    def write_picked(self) -> Path:
        """Write the file to train on, as choose_pseudo_data.py does; returns its path.

        Accepted masks become those of their objects; ``val`` stays as it is.
        """
        with self._lock, PredictionStore(self._files) as store:
            selector = Selector(STRATEGY, self.threshold, combine=COMBINE, decisions=self.decisions)
            picked = (outcome.record for outcome in select(self._objects, store, selector))
            splits = load_annotation_file(self._annotations)
            others = {name: records for name, records in splits.items() if name != SPLIT}
            path = self.folder / 'picked.json'
            write_annotations({SPLIT: picked, **others}, path)
        return path

    def accepted(self, ref_id: int) -> bool:
        """Whether a mask is taken: as a person decided, else by its score."""
        outcome = self._outcomes[ref_id]
        if ref_id in self.decisions:
            return self.decisions[ref_id] == ACCEPT
        return not outcome.chosen.empty and outcome.value >= self.threshold

    def ordered(self, order: str = ORDERS[0]) -> list[int]:
        """``ref_id`` of all objects, in one of :data:`ORDERS`; doubtful are those near to the threshold."""
        values = {ref_id: outcome.value for ref_id, outcome in self._outcomes.items()}
        keys = {
            ORDERS[0]: lambda ref: (abs(values[ref] - self.threshold), ref),
            ORDERS[1]: lambda ref: (values[ref], ref),
            ORDERS[2]: lambda ref: (-values[ref], ref),
        }
        return sorted(values, key=keys.get(order, keys[ORDERS[0]]))

    def page(self, order: str = ORDERS[0], first: int = 0) -> dict[str, Any]:
        """So many cards from a position on, and the counts, as plain values."""
        with self._lock:
            refs = self.ordered(order)
            first = min(max(first, 0), max(len(refs) - 1, 0)) // PAGE * PAGE
            shown = refs[first : first + PAGE]
            accepted = sum(map(self.accepted, refs))
            return {
                'cards': [self._card(ref_id) for ref_id in shown],
                'first': first,
                'size': PAGE,
                'total': len(refs),
                'accepted': accepted,
                'rejected': len(refs) - accepted,
                'decided': len(self.decisions),
                'threshold': self.threshold,
                'order': order if order in ORDERS else ORDERS[0],
                'orders': list(ORDERS),
                'histogram': self._histogram(),
                'file': str(self.decisions_file),
                'command': self.command,
            }

    def _histogram(self) -> list[int]:
        bins = [0] * 20
        for outcome in self._outcomes.values():
            bins[min(int(outcome.value * 20), 19)] += 1
        return bins

    def _card(self, ref_id: int) -> dict[str, Any]:
        if ref_id not in self._cards:
            self._cards[ref_id] = self._draw(self._outcomes[ref_id])
        accepted = self.accepted(ref_id)
        return {
            **self._cards[ref_id],
            'state': 'accepted' if accepted else 'rejected',
            'decided': ref_id in self.decisions,
        }

    def _draw(self, outcome: Outcome) -> dict[str, Any]:
        record = outcome.record
        card = draw_card(Shown('', outcome, 0.0), self.project.image(record))
        return {
            'ref_id': record['ref_id'],
            'sentence': record['expressions'][0],
            'score': round(outcome.value, 3),
            'image': data_uri(card.image, 'jpeg'),
            'size': list(card.size),
            'path': card.path,
            'box': list(card.box),
        }


def _newest(runs: Path) -> int:
    if not runs.is_dir():
        return 0
    return max(
        (int(found[1]) for path in runs.iterdir() if (found := FOLDER.fullmatch(path.name))), default=0
    )


def _predictions(project: Project, proposer: Proposer, records: list[dict]) -> Iterable[dict[str, Any]]:
    """Of all objects of one photo, each by its first sentence: in a known box, the others give the same."""
    masks, scores = proposer.in_boxes(
        project.image(records[0]),
        [record['expressions'][0] for record in records],
        [record['bbox'] for record in records],
    )
    if masks is None:
        raise UserInputError.of(
            proposer.weights, 'a network of boxes alone', 'one that draws masks', 'name other weights'
        )
    for record, mask, score in zip(records, masks, scores, strict=True):
        rle = encode_mask(mask)
        yield {
            'ref_id': record['ref_id'],
            'sent_id': record['sent_ids'][0],
            'image_id': record['image_id'],
            'expression': record['expressions'][0],
            'segmentation': rle,
            'bbox': box_of(rle) if mask.any() else list(record['bbox']),
            'score': min(max(float(score), 0.0), 1.0),
        }
