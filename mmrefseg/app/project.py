"""A folder of photos as the app works on it: annotations, images, drawn masks, and where runs go."""

import os
import re
from pathlib import Path

import numpy as np

from ..datasets.converters.drawn_masks import DrawnMasks
from ..datasets.converters.own_folder import OwnData, find_annotations
from ..pseudo_labels.contact_sheet import Images
from ..utils.places import DEFAULT
from .training import TrainingJob

RUN = re.compile(r'run_(\d+)')


class Project:
    """What the pages share.

    Args:
        folder: Of the photos and what is known of them; its annotation files are only read.
        runs: Where trainings and reviews go; ``work_dirs/<name of the folder>`` by default.
        weights: That predict until a training has made better ones.

    Raises:
        UserInputError: If there is no such folder, nothing is annotated, or an image is missing.
    """

    def __init__(
        self, folder: str | os.PathLike, runs: str | os.PathLike | None = None, weights: str = DEFAULT
    ) -> None:
        self.folder = Path(folder)
        self.runs = Path(runs) if runs is not None else default_runs(folder)
        self.given_weights = weights
        self.data: OwnData = find_annotations(self.folder)
        self.drawn = DrawnMasks(self.folder)
        self._images = Images(self.data.images)

    @property
    def records(self) -> list[dict]:
        """The objects to learn from: the split ``train``, before anything is held out."""
        return self.data.splits.get('train', [])

    @property
    def num_masks(self) -> int:
        """Objects of ``train`` that have a mask, drawn ones included."""
        return sum(record.get('mask') is not None or record in self.drawn for record in self.records)

    def image(self, record: dict) -> np.ndarray:
        """(H, W, 3) uint8, RGB.

        Raises:
            UserInputError: If it is missing, cannot be decoded, or has another size than its record says.
        """
        return self._images(record)

    def run_folders(self) -> list[Path]:
        """Of the trainings, the oldest first."""
        if not self.runs.is_dir():
            return []
        found = [path for path in self.runs.iterdir() if path.is_dir() and RUN.fullmatch(path.name)]
        return sorted(found, key=lambda path: int(RUN.fullmatch(path.name)[1]))

    def new_run(self) -> Path:
        """The folder of the next training; it is not made."""
        folders = self.run_folders()
        number = int(RUN.fullmatch(folders[-1].name)[1]) + 1 if folders else 1
        return self.runs / f'run_{number}'

    def job(self) -> TrainingJob | None:
        """The newest training, running or not."""
        folders = self.run_folders()
        return TrainingJob(folders[-1]) if folders else None

    def weights(self) -> str:
        """Of the newest training that has ended, else those that were given."""
        made = [folder / 'masks' / 'best.pth' for folder in reversed(self.run_folders())]
        return next((str(path) for path in made if TrainingJob(path.parents[1]).scores), self.given_weights)


def default_runs(folder: str | os.PathLike) -> Path:
    """Where the runs of a folder go."""
    return Path('work_dirs') / (Path(folder).resolve().name or 'folder')
