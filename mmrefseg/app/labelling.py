"""Drawing masks, the most telling object first: what the page Label does, without the page."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..datasets.converters.drawn_masks import object_key
from ..pseudo_labels.masks_to_draw import (
    Choice,
    Rule,
    choose_masks,
    describe,
    no_predictions,
    objects_to_draw,
    observe,
)
from ..pseudo_labels.projection import WORST, projection_term
from ..pseudo_labels.teaching import read_weights
from ..utils import UserInputError
from ..visualization.pages import data_uri, jpeg, sized
from .outline import Outline
from .project import Project
from .proposals import Answers, Proposer

MOST_PREDICTED = 1500
"""Objects that are looked at with the network before the first is shown; more are ranked without."""
MOST_RANKED = 2000
MARGIN = 0.45
"""Of the box's longer side, shown around it."""
LONGEST, SHORTEST = 1100, 640
"""Sides in pixels of what is shown of the photo: larger is reduced, smaller enlarged."""
THUMBNAIL = 360
ACTIONS = (
    'show', 'click', 'move', 'insert', 'remove', 'close', 'part', 'undo', 'clear', 'proposal', 'accept',
    'skip', 'back',
)  # fmt: skip


class LabellingSession:
    """One object after the other: the network's contour, to accept, mend or draw anew.

    Every accepted mask is on the disk before the next object is shown. Calls from several threads wait for
    one another.

    Args:
        project: The folder.
        proposer: The network; None proposes nothing and ranks by coverage alone.
        progress: Wraps the loop over the photos when they are looked at first.

    Raises:
        UserInputError: If no object has a box, or an image cannot be read.
    """

    def __init__(
        self,
        project: Project,
        proposer: Proposer | None = None,
        progress: Callable[[Iterable], Iterable] = iter,
    ) -> None:
        self.project, self.proposer = project, proposer
        self.queue: list[Choice] = rank(project, proposer, progress)
        self.done = 0
        self._lock = threading.RLock()
        self._past: list[Choice] = []
        self._proposals: dict[tuple, np.ndarray | None] = {}
        self._token = 0
        self._outline = Outline(1, 1)
        self._how = 'drawn'
        self._message = ''
        self._begin()

    @property
    def current(self) -> Choice | None:
        """The object that is shown; None when all are done."""
        return self.queue[0] if self.queue else None

    @property
    def outline(self) -> Outline:
        """Of the object that is shown."""
        return self._outline

    def act(self, action: dict[str, Any]) -> dict[str, Any]:
        """Do what a page asks for.

        Args:
            action: ``do``, one of :data:`ACTIONS`; ``token`` of the state that the page shows; where it is
                about a place ``x``, ``y`` in pixels of the photo, about a vertex ``part`` and ``index``.

        Returns:
            The state to show, see :meth:`state`; with ``photo`` where the object is another than the page's.
        """
        with self._lock:
            self._message = ''
            known = action.get('token') if isinstance(action, dict) else None
            try:
                self._do(action, known)
            except UserInputError as error:
                self._message = str(error)
            return self.state(with_photo=known != self._token)

    def state(self, with_photo: bool = True) -> dict[str, Any]:
        """What the page shows, as plain values.

        Args:
            with_photo: Whether to send the pictures, which takes most of the time.
        """
        state: dict[str, Any] = {
            'token': self._token,
            'masks': self.project.num_masks,
            'left': len(self.queue),
            'drawn_now': self.done,
            'message': self._message,
            'can_back': bool(self._past),
            'file': str(self.project.drawn.path),
        }
        choice = self.current
        if choice is None:
            return {**state, 'finished': True}
        outline = self._outline
        state |= {
            'finished': False,
            'sentences': choice.record['expressions'],
            'why': choice.why,
            'file_name': choice.record['file_name'],
            'box': list(choice.record['bbox']),
            'view': self._view(choice.record),
            'parts': [[list(point) for point in part] for part in outline.parts],
            'open': [list(point) for point in outline.open],
            'closed': outline.closed,
            'can_undo': outline.can_undo,
            'how': self._how,
            'fit': self._fit(choice.record),
        }
        if not with_photo:
            return state
        try:
            return state | self._pictures(choice.record)
        except UserInputError as error:  # skipping it is still possible
            return state | {'photo': '', 'whole': '', 'size': [1, 1], 'message': str(error)}

    def _do(self, action: Any, known: Any) -> None:
        do = action.get('do') if isinstance(action, dict) else None
        if do not in ACTIONS:
            raise UserInputError.of(
                'action', repr(do)[:60], f'one of {", ".join(ACTIONS)}', 'reload the page'
            )
        if do == 'show':
            return
        if known != self._token:
            raise UserInputError.of(
                'the page', 'an object that is no longer shown', 'the one of this session', 'go on here'
            )
        if do == 'back':
            self._back()
        elif self.current is not None and do == 'accept':
            self.accept()
        elif self.current is not None and do == 'skip':
            self.skip()
        elif self.current is not None:
            self._edit(do, action)

    def _edit(self, do: str, action: dict[str, Any]) -> None:
        outline = self._outline
        if do in ('click', 'move', 'insert'):
            x, y = (_number(action, key) for key in ('x', 'y'))
        part, index = (action.get(key) if type(action.get(key)) is int else -1 for key in ('part', 'index'))
        if do == 'click' and (outline.open or not outline.parts):
            outline.add(x, y)
        elif do == 'click':
            outline.move_nearest(x, y)
        elif do == 'part':
            outline.add(*(_number(action, key) for key in ('x', 'y')))
        elif do == 'move':
            outline.move(part, index, x, y)
        elif do == 'insert':
            outline.insert(x, y)
        elif do == 'remove':
            outline.remove(part, index)
        elif do == 'proposal':
            self._propose()
            return
        else:
            {'close': outline.close, 'undo': outline.undo, 'clear': outline.clear}[do]()
        if do == 'clear':
            self._how = 'drawn'
        elif self._how == 'accepted':
            self._how = 'changed'

    def accept(self) -> None:
        """Save the outline as the object's mask, and go on.

        Raises:
            UserInputError: If there is none, a part is half drawn, or the disk refuses it; the object stays.
        """
        choice, outline = self.current, self._outline
        if len(outline.open) >= 3:
            outline.close()
        if not outline.closed or not outline.bitmap().any():
            raise UserInputError.of('the outline', 'no closed part', 'one around the object', 'draw it first')
        self.project.drawn.save(choice.record, outline.mask(), self._how)
        self._past.append(choice)
        self.queue.pop(0)
        self.done += 1
        self._begin()

    def skip(self) -> None:
        """Put the object at the end."""
        if len(self.queue) > 1:
            self.queue.append(self.queue.pop(0))
        self._begin()

    def _back(self) -> None:
        if self._past:
            self.queue.insert(0, self._past.pop())
            self.done -= 1
            self._begin()

    def _begin(self) -> None:
        """Show the first of the queue: with its saved mask, else with what the network proposes."""
        self._token += 1
        choice = self.current
        if choice is None:
            return
        height, width = int(choice.record['height']), int(choice.record['width'])
        saved = self.project.drawn.mask_of(choice.record)
        if saved is not None:
            self._outline, self._how = Outline.of_annotation(saved, height, width), 'changed'
        else:
            self._propose()
        if len(self.queue) > 1:
            threading.Thread(target=self._proposal, args=(self.queue[1],), daemon=True).start()

    def _propose(self) -> None:
        record = self.current.record
        mask = self._proposal(self.current)
        height, width = int(record['height']), int(record['width'])
        self._outline = Outline(height, width) if mask is None else Outline.of_mask(mask)
        self._how = 'accepted' if self._outline.parts else 'drawn'

    def _proposal(self, choice: Choice) -> np.ndarray | None:
        key = (*object_key(choice.record), self.proposer and self.proposer.weights)
        if self.proposer is not None and key not in self._proposals:
            try:
                found = self.proposer.contour(self.project.image(choice.record), choice.record)
            except UserInputError:  # the image's error is told when it is shown
                found = None
            if len(self._proposals) > 16:
                self._proposals.clear()
            self._proposals[key] = found
        return self._proposals.get(key)

    def _fit(self, record: dict) -> float | None:
        """1 - RPP / 2: 1 if the closed parts fill the box in width and height; None if there are none."""
        if not self._outline.parts:
            return None
        return 1.0 - projection_term(self._outline.rle(), record['bbox']) / WORST

    def _view(self, record: dict) -> list[float]:
        """x, y, width, height of the part of the photo that is shown: the box and what is around it."""
        x, y, w, h = record['bbox']
        room = MARGIN * max(w, h)
        x1, y1 = max(x - room, 0), max(y - room, 0)
        x2, y2 = min(x + w + room, int(record['width'])), min(y + h + room, int(record['height']))
        x1, y1, x2, y2 = int(x1), int(y1), int(np.ceil(x2)), int(np.ceil(y2))
        return [x1, y1, max(x2 - x1, 1), max(y2 - y1, 1)]

    def _pictures(self, record: dict) -> dict[str, Any]:
        image = self.project.image(record)
        x, y, w, h = self._view(record)
        return {
            'photo': data_uri(jpeg(sized(image[y : y + h, x : x + w], SHORTEST, LONGEST)), 'jpeg'),
            'whole': data_uri(jpeg(sized(image, 1, THUMBNAIL)), 'jpeg'),
            'size': [int(record['width']), int(record['height'])],
        }


def rank(
    project: Project, proposer: Proposer | None, progress: Callable[[Iterable], Iterable] = iter
) -> list[Choice]:
    """The objects without a mask, in the order of choose_masks_to_draw.py.

    Args:
        project: The folder.
        proposer: The network whose doubt counts; None leaves coverage and rarity.
        progress: Wraps the loop over the photos.
    """
    records = [{**record, 'mask': True} if record in project.drawn else record for record in project.records]
    objects, drawn = objects_to_draw(records)
    if all(record.get('mask') is not None for record in records):
        return []
    observed = no_predictions(len(objects))
    if proposer is not None and len(objects) <= MOST_PREDICTED:
        found = proposer.signals([_asked(record) for record in objects], project.image, progress)
        if found:
            observed = observe(objects, Answers(found))
    features = describe(objects, observed, None)
    left = min(len(objects) - len(drawn), MOST_RANKED)
    return choose_masks(objects, drawn, observed, features, Rule(read_weights([])), left)


def _asked(record: dict) -> dict:
    """At most four sentences: their agreement is known by then."""
    return {**record, 'expressions': record['expressions'][:4]}


def _number(action: dict[str, Any], key: str) -> float:
    value = action.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise UserInputError.of('action', f'{key} {value!r}'[:60], 'a number of pixels', 'reload the page')
    return float(value)
