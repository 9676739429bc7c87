"""What the four pages share while the app runs: the project, the network, the session and the review.

Knows nothing of gradio: a page calls a method and shows the plain values that it gets.
"""

import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..utils import UserInputError
from .labelling import LabellingSession
from .project import Project
from .proposals import Proposer
from .reviewing import Review, newest_review, predict_masks
from .training import Progress, TrainingJob

NO_PROJECT = 'No folder of photos is open. Start the app with one: mmrefseg app --data FOLDER'


class Desk:
    """One for each app.

    Args:
        project: The folder; None leaves the page Try alone.
        weights: That predict until a training has made better ones.
        options: Of ``tools/train_folder.py``, for every training that is started.
        device: Torch device; a GPU if there is one.
    """

    def __init__(
        self, project: Project | None, weights: str, options: Sequence[str] = (), device: str | None = None
    ) -> None:
        self.project, self.options = project, list(options)
        self.proposer = Proposer(project.weights() if project else weights, device)
        self.folder = tempfile.TemporaryDirectory(prefix='mmrefseg_app_')
        self._session: LabellingSession | None = None
        self._said = ''
        self._thread: threading.Thread | None = None
        self._lock = threading.RLock()
        self._review: Review | None = None

    def close(self) -> None:
        """Remove what the page Try has written for downloads. A training goes on."""
        self.folder.cleanup()

    def prepare_labelling(self) -> None:
        """Rank the objects in the background, where nobody has begun to."""
        with self._lock:
            if self.project is not None and self._thread is None:
                self._thread = threading.Thread(target=self._prepare, daemon=True)
                self._said = 'Looking at the photos ...'
                self._thread.start()

    def label(self, action: Any) -> dict[str, Any]:
        """:meth:`LabellingSession.act`, or ``waiting`` with a sentence while there is no session yet."""
        if self.project is None:
            return {'waiting': NO_PROJECT, 'for_good': True}
        self.prepare_labelling()
        if self._session is None:
            return {'waiting': self._said, 'for_good': not self._thread.is_alive()}
        return self._session.act(action)

    def _prepare(self) -> None:
        def told(images: Iterable) -> Iterator:
            listed = list(images)
            for number, image in enumerate(listed):
                self._said = f'Looking at the photos: {number} of {len(listed)} ...'
                yield image

        try:
            self._session = LabellingSession(self.project, self.proposer, told)
        except UserInputError as error:
            self._said = str(error)

    def summary(self) -> str:
        """What there is to train on, in a line."""
        if self.project is None:
            return NO_PROJECT
        photos = len({record['file_name'] for record in self.project.records})
        count = self.project.num_masks
        return (
            f'**{count} mask{"" if count == 1 else "s"}** of {len(self.project.records)} objects'
            f' in {photos} photos · {self.project.folder}'
        )

    def train(self, steps: float) -> None:
        """Start a training in a folder of its own.

        Args:
            steps: Factor for its length.

        Raises:
            UserInputError: If one runs, or there is no project.
        """
        self._check_idle()
        self._start(steps)

    def train_on_review(self, steps: float) -> None:
        """The same, on the masks that are drawn and those that the review has accepted.

        Raises:
            UserInputError: If there is no review, or a training runs.
        """
        review = self.review()
        if review is None:
            raise UserInputError.of('Review', 'no masks', 'some that were looked at', 'predict masks first')
        self._check_idle()
        self._start(steps, '--annotations', str(review.write_picked()))

    def _check_idle(self) -> None:
        job = self._opened().job()
        if job is not None and job.running:
            raise UserInputError.of(str(job.folder), 'a training that runs', 'none', 'stop it first')

    def _start(self, steps: float, *more: str) -> None:
        options = [*more, '--steps', f'{steps:g}', *self.options]
        TrainingJob(self.project.new_run()).start(self.project.folder, options)

    def stop(self) -> None:
        """Stop the training that runs."""
        job = self._opened().job()
        if job is not None:
            job.stop()

    def resume(self) -> None:
        """Go on with the newest training.

        Raises:
            UserInputError: If there is none that was stopped.
        """
        job = self._opened().job()
        if job is None:
            raise UserInputError.of('Resume', 'no training', 'one that was stopped', 'start one')
        job.resume()

    def training(self) -> tuple[Progress | None, str]:
        """How far the newest training is, and its folder; None and '' if there is none."""
        job = self.project.job() if self.project is not None else None
        if job is None:
            return None, ''
        progress = job.progress()
        if progress.state == 'done':
            self.proposer.use(self.project.weights())
        return progress, str(job.folder)

    def review(self) -> Review | None:
        """The newest review, if there is one."""
        with self._lock:
            if self._review is None and self.project is not None:
                self._review = newest_review(self.project)
            return self._review

    def predict_masks(self, progress: Any = iter) -> int:
        """Predict for the objects without a mask, into a new review; returns their number.

        Raises:
            UserInputError: See :func:`mmrefseg.app.reviewing.predict_masks`.
        """
        project = self._opened()
        self.proposer.use(project.weights())
        review = predict_masks(project, self.proposer, progress)
        with self._lock:
            self._review = review
        return len(review.ordered())

    def decide(self, action: Any) -> dict[str, Any]:
        """A page of the review, after a decision or another threshold.

        Args:
            action: ``order``, ``first``; perhaps ``ref_id`` and ``decision``, or ``threshold``.

        Returns:
            :meth:`Review.page` with ``message``; ``total`` 0 where there is no review.
        """
        try:
            review = self.review()
            if review is None:
                return {'total': 0, 'message': NO_PROJECT if self.project is None else ''}
            message = _apply(review, action if isinstance(action, dict) else {})
            order, first = (action or {}).get('order'), (action or {}).get('first')
            return review.page(str(order or ''), first if isinstance(first, int) else 0) | {
                'message': message
            }
        except UserInputError as error:
            return {'total': 0, 'message': str(error)}

    def download(self) -> Path:
        """A folder for files that a page hands out."""
        return Path(tempfile.mkdtemp(dir=self.folder.name))

    def _opened(self) -> Project:
        if self.project is None:
            raise UserInputError(NO_PROJECT)
        return self.project


def _apply(review: Review, action: dict[str, Any]) -> str:
    """Do what a page asks for; returns a sentence if it cannot be."""
    threshold = action.get('threshold')
    if isinstance(threshold, int | float) and 0 <= threshold <= 1:
        review.threshold = float(threshold)
    if 'ref_id' in action:
        try:
            review.decide(action['ref_id'], action.get('decision'))
        except UserInputError as error:
            return str(error)
    return ''
