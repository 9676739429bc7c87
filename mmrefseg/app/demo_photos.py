"""A folder to try the app on: photos of RefShapes with boxes and sentences, and no mask."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ..datasets.annotations import load_annotation_file
from ..datasets.converters.drawn_masks import Key, object_key
from ..datasets.refshapes import Preset, generate
from ..utils import check_output, dump_json, make_folder

SPLITS = ('train', 'val')


def make_photos(folder: str | os.PathLike, size: str | Preset = 'tiny', seed: int = 0) -> dict[Key, Any]:
    """Make photos and their annotations.

    Args:
        folder: Gets ``images/`` and ``instances.json``, which has one split, ``train``.
        size: Of RefShapes.
        seed: The same.

    Returns:
        The true masks, which the folder lacks, by :func:`object_key`.

    Raises:
        UserInputError: If the folder cannot be written.
    """
    check_output(folder, 'folder', folder=True)
    images = make_folder(Path(folder) / 'images')
    with tempfile.TemporaryDirectory() as place:
        made = generate(size, Path(place), seed=seed, num_workers=1, progress=False)
        splits = load_annotation_file(made.annotations / 'instances.json')
        records = [record for split in SPLITS for record in splits[split]]
        for name in sorted({record['file_name'] for record in records}):
            shutil.copy(made.images / name, images)
    masks = {object_key(record): record.pop('mask') for record in records}
    for record in records:
        record.pop('area', None)  # it follows from the mask
    dump_json({'train': records}, Path(folder) / 'instances.json')
    return masks
