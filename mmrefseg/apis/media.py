"""Where images come from and go to: paths, patterns, folders, videos, cameras, windows."""

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..datasets.photo_sentences import SUFFIXES
from ..utils import UserInputError, atomic_write, check_output, make_folder

CODECS = {'x264': '.mkv', 'mp4v': '.mp4'}


def output_paths(images: Sequence[Path], output: str) -> list[Path]:
    """Where each image's drawing goes.

    One image goes to the file ``output`` if that has an image's ending and is no folder; all others into
    the folder ``output``, which is made, under their own names.

    Raises:
        UserInputError: If two would be the same file, or one would replace its input.
    """
    target = Path(output).expanduser()
    is_file = target.suffix.lower() in SUFFIXES and not target.is_dir() and not output.endswith(os.sep)
    if is_file and len(images) > 1:
        raise UserInputError.of(
            f'--output {output}', f'one file for {len(images)} images', 'a folder', 'name a folder'
        )
    paths = [target] if is_file else [target / image.name for image in images]
    for image, path in zip(images, paths, strict=True):
        if path.suffix.lower() not in SUFFIXES:
            raise UserInputError.of(
                f'--input {image}', f'the ending {path.suffix!r}', 'that of an image', 'rename the file'
            )
        if paths.count(path) > 1:
            raise UserInputError.of(
                f'--output {output}',
                f'two images of the name {path.name}',
                'names that differ',
                'run them apart',
            )
        if path.exists() and path.samefile(image):
            raise UserInputError.of(
                f'--output {output}', 'the input itself', 'another place', 'choose another folder'
            )
        check_output(path, '--output')
    return paths


def write_image(image: np.ndarray, path: str | os.PathLike) -> None:
    """Write (H, W, 3) uint8 RGB, atomically, in the format of the ending."""
    buffer = io.BytesIO()
    suffix = Path(path).suffix.lower()
    Image.fromarray(image).save(buffer, format=Image.registered_extensions()[suffix], quality=92)
    with atomic_write(path, 'wb') as file:
        file.write(buffer.getvalue())


def open_video(source: str | int) -> cv2.VideoCapture:
    """Open a video file, or a camera by its number.

    Raises:
        UserInputError: If there is no such video or camera.
    """
    if isinstance(source, str) and not Path(source).is_file():
        raise UserInputError.of(f'--video-input {source}', 'no such file', 'a video', 'check the path')
    with _quiet():
        capture = cv2.VideoCapture(source)
    if not capture.isOpened():
        where = f'--webcam {source}' if isinstance(source, int) else f'--video-input {source}'
        found = 'no camera that opens' if isinstance(source, int) else 'a file that OpenCV cannot decode'
        raise UserInputError.of(
            where, found, 'a camera' if isinstance(source, int) else 'a video', 'try another'
        )
    return capture


def frames(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """The frames that are left, (H, W, 3) uint8 BGR; the capture is released at the end."""
    try:
        while True:
            more, frame = capture.read()
            if not more:
                return
            yield frame
    finally:
        capture.release()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep OpenCV from reporting codecs and devices that are merely tried."""
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


class VideoWriter:
    """Writes frames to a video file, which appears in its place when all are written.

    Args:
        output: A file that does not exist yet, or a folder for a file of the input's name. H.264 in ``.mkv``
            where OpenCV has that codec, else MPEG-4 in ``.mp4``; a file's own ending is kept.
        name: The input's name without ending.
        size: (width, height) of all frames.
        rate: Frames a second.

    Raises:
        UserInputError: If the file exists, or OpenCV can write neither.
    """

    def __init__(self, output: str, name: str, size: tuple[int, int], rate: float) -> None:
        path = Path(output).expanduser()
        chosen = path.suffix and not path.is_dir()
        targets = {codec: path if chosen else path / f'{name}{suffix}' for codec, suffix in CODECS.items()}
        for target in targets.values():
            if target.exists():
                raise UserInputError.of(
                    f'--output {output}', f'{target}, which exists', 'a new file', 'remove it or name another'
                )
        for codec, target in targets.items():
            check_output(target, '--output')
            make_folder(target.parent)
            part = target.with_name(f'.{target.stem}.part{target.suffix}')
            with _quiet():
                writer = cv2.VideoWriter(str(part), cv2.VideoWriter_fourcc(*codec), rate or 25.0, size)
            if writer.isOpened():
                self.path, self._part, self._writer = target, part, writer
                return
            writer.release()
            part.unlink(missing_ok=True)
        raise UserInputError.of(
            f'--output {output}', 'no video codec in OpenCV', 'x264 or mp4v', 'get opencv-python with FFmpeg'
        )

    def write(self, frame: np.ndarray) -> None:
        """Add (H, W, 3) uint8 BGR."""
        self._writer.write(frame)

    def __enter__(self) -> 'VideoWriter':
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._writer.release()
        try:
            if kind is None:
                self._see_that_it_is_whole()
                os.replace(self._part, self.path)
        finally:
            self._part.unlink(missing_ok=True)

    def _see_that_it_is_whole(self) -> None:
        """OpenCV is silent about a full disk.

        Raises:
            UserInputError: If the file cannot be read, or the disk takes nothing more.
        """
        with _quiet():
            capture = cv2.VideoCapture(str(self._part))
            opens = capture.isOpened()
            capture.release()
        if not opens:
            raise UserInputError.of(
                str(self.path),
                'a video that could not be written whole',
                'room',
                'make room, or name another place',
            )
        check_output(self.path, '--output')


def show(title: str, image: np.ndarray, wait: int = 0) -> bool:
    """Show (H, W, 3) uint8 RGB in a window.

    Args:
        title: Of the window.
        image: What to show.
        wait: Milliseconds until it goes on by itself; 0 waits for a key.

    Returns:
        Whether to go on: Esc stops.

    Raises:
        UserInputError: Where there is no display.
    """
    if os.name == 'posix' and not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        raise UserInputError.of('window', 'no display', 'one', 'write to files with --output')
    try:
        cv2.namedWindow(title, cv2.WINDOW_NORMAL)
        cv2.imshow(title, image[..., ::-1])
        return cv2.waitKey(wait) != 27
    except cv2.error as error:
        raise UserInputError.of(
            'window', f'an OpenCV without windows ({error.err})', 'a window', 'write to files with --output'
        ) from error
