"""Making the data set: in parallel, resumable, moved into place when it is complete.

What an image shows depends on the version, the seed, the split and its index
only; so the result is the same for any number of processes, and the images
of a small set are those of a large one with the same rules.
"""

import contextlib
import errno
import multiprocessing
import os
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from mmrefseg.utils import UserInputError, atomic_write, dump_json, load_json, make_folder, progress_bar

from . import writers
from .expressions import VOCABULARY, describe_scene
from .meaning import World
from .presets import VERSION, Preset, SplitRules, find_preset
from .render import render
from .scene import Scene, sample_scene
from .shapes import CATEGORY_IDS, SIZES

CHUNK = 64
"""Images in one unit of work: what an interruption can lose per process."""
PNG_LEVEL = [cv2.IMWRITE_PNG_COMPRESSION, 1]


class RefShapes(NamedTuple):
    """Where a set lies. ``created`` is false if it was there already."""

    annotations: Path
    images: Path
    meta: dict[str, Any]
    created: bool


def generate(
    size: str | Preset,
    out_dir: str | os.PathLike = 'data',
    seed: int = 0,
    num_workers: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> RefShapes:
    """Write RefShapes to ``out_dir/annotations/refshapes_<size>`` and ``out_dir/images/refshapes_<size>``.

    A complete set with the same parameters is left alone. An interrupted call
    goes on where it stopped; nothing appears in place until all is done.

    Args:
        size: ``'tiny'``, ``'small'``, ``'full'`` or a :class:`Preset`.
        out_dir: The data folder.
        seed: Another seed gives other images and sentences.
        num_workers: Processes; by default one for each CPU. The result does not depend on it.
            With more than one, a script must call this under ``if __name__ == '__main__':``.
        overwrite: Replace a set that has other parameters or is not complete.
        progress: Show a progress bar on stderr.

    Raises:
        UserInputError: If the size is unknown, if something else is in the
            way and ``overwrite`` is off, or if another process is at it.
    """
    preset = find_preset(size)
    name = f'refshapes_{preset.name}'
    out = Path(out_dir)
    annotations, images = out / 'annotations' / name, out / 'images' / name
    sizes = {word: list(limits) for word, limits in SIZES.items()}
    parameters = {'version': VERSION, 'seed': seed, 'sizes': sizes, **preset.as_dict()}
    if not overwrite:
        meta = _find_complete(annotations, images, parameters)
        if meta is not None:
            return RefShapes(annotations, images, meta, created=False)
    part = out / f'.{name}.part'
    with _locked(part, parameters):
        _make_images(preset, seed, part, num_workers, progress)
        meta = _write_annotations(preset, parameters, part)
        _move(part / 'images', images)
        _move(part / 'annotations', annotations)
        shutil.rmtree(part)
    return RefShapes(annotations, images, meta, created=True)


def make_scene(seed: int, split: str, index: int, preset: Preset) -> Scene:
    """The scene of one image."""
    return sample_scene(_random('scene', seed, split, index), preset.image_size, preset.splits[split])


def make_image(seed: int, split: str, index: int, preset: Preset) -> tuple[np.ndarray, dict[str, Any]]:
    """Draw one image and describe it.

    Returns:
        RGB uint8 (H, W, 3), and a description in plain containers: file
        name, size and ``objects`` from back to front, each with COCO
        annotation, ``attributes``, ``expressions`` and their ``kinds``.
    """
    scene = make_scene(seed, split, index, preset)
    rules: SplitRules = preset.splits[split]
    said = describe_scene(World(scene), _random('words', seed, split, index), rules)
    pixels = render(scene, np.random.default_rng(_random('pixels', seed, split, index).getrandbits(64)))
    objects = []
    for depth, (item, expressions) in enumerate(zip(scene.objects, said, strict=True)):
        area = int(np.count_nonzero(item.visible))
        objects.append(
            {
                'category_id': CATEGORY_IDS[item.shape],
                'segmentation': item.segmentation,
                'bbox': list(item.box),
                'area': area,
                'attributes': {
                    'class': item.shape,
                    'color': item.color,
                    'size': item.size,
                    'texture': item.texture,
                    'depth': depth,
                    'visible': round(area / np.count_nonzero(item.full), 3),
                },
                'expressions': [expression.text for expression in expressions],
                'kinds': [expression.kind for expression in expressions],
            }
        )
    file_name = f'{split}_{index:06d}.png'
    return pixels, {'file_name': file_name, 'height': scene.side, 'width': scene.side, 'objects': objects}


def _random(purpose: str, seed: int, split: str, index: int) -> random.Random:
    return random.Random(f'refshapes/{VERSION}/{seed}/{split}/{index}/{purpose}')


def _find_complete(annotations: Path, images: Path, parameters: dict) -> dict | None:
    """The meta data of a complete set with these parameters; None where there is nothing at all."""
    todo = 'pass overwrite=True (--overwrite) to replace it, or choose another folder'
    if not annotations.exists():
        return None
    meta_file = annotations / 'meta.json'
    if not meta_file.exists():
        raise UserInputError.of(str(annotations), 'a folder without meta.json', 'a RefShapes set', todo)
    meta = load_json(meta_file)
    if meta.get('parameters') != parameters:
        differs = [key for key in parameters if meta.get('parameters', {}).get(key) != parameters[key]]
        raise UserInputError.of(
            str(annotations), f'a set with another {", ".join(differs)}', 'the same', todo
        )
    expected = sum(counts['images'] for counts in meta['counts'].values())
    found = len(list(images.glob('*.png')))
    if found != expected:
        raise UserInputError.of(str(images), f'{found} images', f'{expected}', todo)
    return meta


@contextlib.contextmanager
def _locked(part: Path, parameters: dict) -> Iterator[None]:
    """Hold the folder of unfinished work; empty it first if it has other parameters.

    It stays for the next run, unless it was the disk that ended this one: what is there may have filled it.
    """
    import fcntl

    make_folder(part.parent)
    with open(part.with_suffix('.lock'), 'w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserInputError.of(
                str(part), 'another process that is making this set', 'none', 'wait until it has finished'
            ) from None
        try:
            same = load_json(part / 'parameters.json') == parameters
        except UserInputError:
            same = False
        try:
            if not same:
                shutil.rmtree(part, ignore_errors=True)
                dump_json(parameters, part / 'parameters.json')
            yield
        except OSError:
            shutil.rmtree(part, ignore_errors=True)
            raise
        finally:
            Path(lock.name).unlink()


def _make_images(preset: Preset, seed: int, part: Path, num_workers: int | None, progress: bool) -> None:
    chunks = list(_chunks(preset))
    total = sum(stop - start for _, start, stop in chunks)
    missing = [chunk for chunk in chunks if not _chunk_file(part, *chunk[:2]).exists()]
    done = total - sum(stop - start for _, start, stop in missing)
    workers = min(num_workers or os.cpu_count() or 1, len(missing))
    if missing:  # else they may have been moved into place already
        (part / 'images').mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        if workers > 1:
            pool = stack.enter_context(ProcessPoolExecutor(workers, _context(), cv2.setNumThreads, (1,)))
            futures = [pool.submit(_make_chunk, preset, seed, part, *chunk) for chunk in missing]
            stack.callback(pool.shutdown, cancel_futures=True)
            finished = (future.result() for future in as_completed(futures))
        else:
            finished = (_make_chunk(preset, seed, part, *chunk) for chunk in missing)
        bar = stack.enter_context(progress_bar()) if progress else None
        task = bar.add_task(f'RefShapes {preset.name}', total=total, completed=done) if bar else None
        for number in finished:
            if bar:
                bar.advance(task, number)


def _context() -> multiprocessing.context.BaseContext:
    # a plain fork of a process whose OpenCV or torch has started threads can hang in the child
    if 'forkserver' not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([__name__])
    return context


def _chunks(preset: Preset) -> Iterator[tuple[str, int, int]]:
    for split, rules in preset.splits.items():
        for start in range(0, rules.num_images, CHUNK):
            yield split, start, min(start + CHUNK, rules.num_images)


def _chunk_file(part: Path, split: str, start: int) -> Path:
    return part / 'chunks' / f'{split}_{start:06d}.json'


def _make_chunk(preset: Preset, seed: int, part: Path, split: str, start: int, stop: int) -> int:
    """Draw some images; their descriptions are written last and say that the chunk is done."""
    images = []
    for index in range(start, stop):
        pixels, image = make_image(seed, split, index, preset)
        path = part / 'images' / image['file_name']
        # not cv2.imwrite, which does not say why it fails
        _, content = cv2.imencode('.png', np.ascontiguousarray(pixels[..., ::-1]), PNG_LEVEL)
        with atomic_write(path, 'wb') as file:
            file.write(content)
        images.append(image)
    dump_json(images, _chunk_file(part, split, start))
    return stop - start


def _write_annotations(preset: Preset, parameters: dict, part: Path) -> dict[str, Any]:
    described: dict[str, list] = {split: [] for split in preset.splits}
    for split, start, _ in _chunks(preset):
        described[split].extend(load_json(_chunk_file(part, split, start)))
    splits = writers.number(described)
    folder = part / 'annotations'
    writers.write_working(splits, folder / 'instances.json')
    writers.write_refer(splits, folder / 'refer')
    writers.write_coco(splits, folder / 'coco')
    meta = {
        'name': f'refshapes_{preset.name}',
        'parameters': parameters,
        'counts': writers.count(splits),
        'categories': writers.CATEGORIES,
        'vocabulary': list(VOCABULARY),
    }
    dump_json(meta, folder / 'meta.json', indent=1)
    return meta


def _move(source: Path, target: Path) -> None:
    """Put a folder in place of another, if there is one; a symbolic link stays, also to another disk."""
    if not source.exists():
        return
    target = Path(os.path.realpath(target))
    make_folder(target.parent)
    old, new = (target.with_name(f'.{target.name}.{word}') for word in ('old', 'new'))
    for folder in (old, new):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        source.rename(new)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copytree(source, new)
    if target.exists():
        target.rename(old)
    new.rename(target)
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
