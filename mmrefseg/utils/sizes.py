"""Disk that a folder uses, and the checkpoints in it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

UNITS = ('B', 'kB', 'MB', 'GB', 'TB')


@dataclass(frozen=True)
class StoredFile:
    """A file, under all names that it has in a folder.

    Attributes:
        names: The first is that of the file, others are links to it.
        size: In bytes.
        time: When it was written, in seconds since 1970.
    """

    names: tuple[str, ...]
    size: int
    time: float


def size_text(size: float) -> str:
    """Bytes for people: ``36.9 MB``; a kB is 1000 bytes."""
    unit = 0
    while size >= 999.5 and unit < len(UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f'{size:.3g} {UNITS[unit]}' if unit else f'{size:.0f} B'


def folder_size(folder: str | os.PathLike) -> int:
    """Bytes of all files below a folder. Hard links count once, symbolic ones not at all."""
    return sum({(stat.st_dev, stat.st_ino): stat.st_size for stat in _stats(Path(folder))}.values())


def checkpoint_files(folder: str | os.PathLike) -> list[StoredFile]:
    """The ``.pth`` and ``.safetensors`` files of a folder, the newest first, each once with all its names."""
    found: dict[tuple[int, int], list[Path]] = {}
    for path in sorted(Path(folder).glob('*')):
        if path.suffix in ('.pth', '.safetensors') and not path.name.startswith('.') and path.is_file():
            stat = path.stat()
            found.setdefault((stat.st_dev, stat.st_ino), []).append(path)
    files = []
    for paths in found.values():
        paths.sort(key=lambda path: (path.stem in ('best', 'latest'), path.name))
        stat = paths[0].stat()
        files.append(StoredFile(tuple(path.name for path in paths), stat.st_size, stat.st_mtime))
    return sorted(files, key=lambda file: (-file.time, file.names))


def _stats(folder: Path) -> Iterator[os.stat_result]:
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                stat = os.lstat(os.path.join(root, name))
            except FileNotFoundError:  # a run that writes removes its temporary files
                continue
            if not os.path.islink(os.path.join(root, name)):
                yield stat
