"""What a person has decided about pseudo masks: files that the page of a selection saves, read and checked.

A decision is about a mask that somebody saw. So a file says of which annotations, split, predictions and
choice of masks it is, and is refused with others. The threshold may be another: masks do not depend on it.
"""

import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..datasets.predicted_pairs import HASH_DIGITS
from ..utils import UserInputError, file_sha256, parse_json, read_text
from ..utils.errors import short

FORMAT = 'mmrefseg-decisions-1'
ACCEPT, REJECT = 'accept', 'reject'
EXPECTED = 'decisions that the page of choose_pseudo_data.py --html has saved'
_REF_ID = re.compile(r'0|-?[1-9]\d{0,18}')


class Subject(NamedTuple):
    """Which masks decisions are about; four fields of every file of decisions.

    Attributes:
        annotations: The first 16 hexadecimal digits of the sample file's SHA-256.
        split: The split that was picked for.
        predictions: The same digits, of the SHA-256 of all prediction files in their order.
        masks: How one mask was made of an object's sentences: ``'vote'``, or ``'best by <strategy>'``.
    """

    annotations: str
    split: str
    predictions: str
    masks: str

    @classmethod
    def of_files(
        cls,
        annotations: str | os.PathLike,
        split: str,
        predictions: Iterable[str],
        strategy: str,
        combine: str,
    ) -> 'Subject':
        """Of the files that a selection reads and of how it makes masks of them."""
        joined = ''.join(file_sha256(path) for path in predictions)
        return cls(
            file_sha256(annotations)[:HASH_DIGITS],
            split,
            hashlib.sha256(joined.encode()).hexdigest()[:HASH_DIGITS],
            combine if combine == 'vote' else f'{combine} by {strategy}',
        )

    @property
    def key(self) -> str:
        """A name for all four, in as many hexadecimal digits."""
        return hashlib.sha256('\n'.join(self).encode()).hexdigest()[:HASH_DIGITS]


def as_content(subject: Subject, decisions: Mapping[int, str]) -> dict[str, Any]:
    """What a file of decisions holds: ``format``, its subject's fields, and ``decisions`` by ``ref_id``."""
    return {
        'format': FORMAT,
        **subject._asdict(),
        'decisions': {str(ref_id): decisions[ref_id] for ref_id in sorted(decisions)},
    }


def read_decisions(paths: Sequence[str | os.PathLike], subject: Subject) -> dict[int, str]:
    """Decisions of one or several files.

    Args:
        paths: Files that the page has saved.
        subject: What the decisions shall be about.

    Returns:
        ``'accept'`` or ``'reject'`` by ``ref_id``.

    Raises:
        UserInputError: If a file holds no decisions, or some about other masks, or contradicts itself or
            another.
    """
    decisions: dict[int, str] = {}
    said_by: dict[int, str] = {}
    for path in map(os.fspath, paths):
        for ref_id, decision in _read_file(path, subject):
            if decisions.setdefault(ref_id, decision) != decision:
                raise UserInputError.of(
                    f'{path}, ref_id {ref_id}',
                    f'{decision!r} and, in {said_by[ref_id]}, {decisions[ref_id]!r}',
                    'one decision about an object',
                    'remove one of them',
                )
            said_by.setdefault(ref_id, path)
    return decisions


class _Pairs(dict):
    """An object of a json text that keeps its pairs: a plain dict would hide a key that is there twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def _read_file(path: str, subject: Subject) -> Iterable[tuple[int, str]]:
    content = parse_json(read_text(path, 'a json file'), path, pairs_hook=_Pairs)
    if not isinstance(content, dict) or content.get('format') != FORMAT:
        found = f'format {short(content.get("format"))}' if isinstance(content, dict) else f'{short(content)}'
        raise UserInputError.of(path, found, f'{EXPECTED} (format {FORMAT!r})', 'name such a file')
    for name, wanted in subject._asdict().items():
        if content.get(name) != wanted:
            raise UserInputError.of(
                path,
                f'decisions about {name} {short(content.get(name))}',
                f'{name} {wanted!r}, of which this selection is',
                'decide on a page of this selection',
            )
    decisions = content.get('decisions')
    if not isinstance(decisions, _Pairs):
        raise UserInputError.of(path, f'decisions {short(decisions)}', 'a dict by ref_id', 'save them again')
    for ref_id, decision in decisions.pairs:
        if not _REF_ID.fullmatch(ref_id) or decision not in (ACCEPT, REJECT):
            raise UserInputError.of(
                path,
                f'the decision {short(ref_id)}: {short(decision)}',
                f"a ref_id with '{ACCEPT}' or '{REJECT}'",
                'mend or remove it',
            )
        yield int(ref_id), decision


def check_decisions(
    decisions: Mapping[int, str], objects: Iterable[dict], predicted: Collection[int], where: str
) -> None:
    """See that every decision is about an object that waits for one.

    Args:
        decisions: By ``ref_id``.
        objects: The records of the split.
        predicted: Ids of the objects that have predictions.
        where: The file of the objects, for messages.

    Raises:
        UserInputError: If an object is not there, has its own mask, or has no prediction.
    """
    has_mask = {record['ref_id']: record.get('mask') is not None for record in objects}
    for ref_id, decision in decisions.items():
        if ref_id not in has_mask:
            found = 'an object that is not in the split'
        elif has_mask[ref_id]:
            found = 'an object with a mask of its own'
        elif ref_id not in predicted:
            found = 'an object without a prediction'
        else:
            continue
        raise UserInputError.of(
            f'{where}, the decision {decision!r} about ref_id {ref_id}',
            found,
            'an object with a predicted mask only',
            'remove the decision',
        )
