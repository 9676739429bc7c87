"""What a folder of photos holds: which annotations, in whatever format, and where their images are."""

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...utils import UserInputError, load_json
from ..images import image_problem
from .coco_sentences import read_coco_sentences
from .conversion import Conversion, count_objects, read_instances
from .cvat import read_cvat
from .drawn_masks import DrawnMasks
from .hugging_face import read_hugging_face
from .image_finder import image_files
from .json_lines import read_json_lines
from .label_studio import read_label_studio
from .labelme import read_labelme
from .mask_folders import read_mask_folders
from .pascal_voc import read_voc
from .regions import ImportOptions
from .yolo import read_yolo

IMAGE_FOLDERS = ('', 'images', 'img', 'JPEGImages', 'photos')
# Where annotations lie.
PLACES = ('', 'annotations', 'labels')
HELD_OUT = 20.0


@dataclass
class OwnData:
    """The annotations of a folder, in the working format.

    Attributes:
        splits: Normalized records; ``train`` and ``val`` are there and hold something.
        images: The folder that ``file_name`` is relative to.
        source: What was read, for a reader.
        remarks: What may surprise.
    """

    splits: dict[str, list[dict]]
    images: Path
    source: str
    remarks: list[str] = field(default_factory=list)

    @property
    def num_objects(self) -> int:
        """In ``train``."""
        return len(self.splits['train'])

    @property
    def num_masks(self) -> int:
        """Objects of ``train`` that have a mask."""
        return sum(record.get('mask') is not None for record in self.splits['train'])

    @property
    def num_images(self) -> int:
        """In ``train``."""
        return count_objects(self.splits)['train']['images']

    @property
    def num_categories(self) -> int:
        """One more than the largest ``category_id``."""
        return 1 + max(record['category_id'] for records in self.splits.values() for record in records)

    @property
    def longest_sentence(self) -> int:
        """In words of ``train``."""
        texts = [text for record in self.splits['train'] for text in record['expressions']]
        return max(len(text.split()) for text in texts)

    def typical_object(self, side: int) -> float:
        """The median length of objects' shorter sides in pixels, once the longer side of an image is
        ``side``."""
        lengths = [
            min(record['bbox'][2:]) * side / max(record['height'], record['width'])
            for record in self.splits['train']
        ]
        return float(np.median(lengths))

    def summary(self) -> str:
        """One line for a reader."""
        counts = count_objects(self.splits)
        said = ', '.join(
            f'{split}: {count["refs"]} objects in {count["images"]} images, {count["sentences"]} sentences, '
            f'{count["masks"]} masks'
            for split, count in counts.items()
        )
        return f'{self.source}: {said}'


def read_own_folder(folder: str | os.PathLike, annotations: str | os.PathLike | None = None) -> OwnData:
    """Find and read the annotations of a folder.

    Tried in this order: the working format (``instances.json``), json lines, COCO, Label Studio, CVAT's xml,
    YOLO's ``data.yaml``, Pascal VOC, labelme's json files, mask images in ``masks/``, parquet and arrow
    files. They lie in the folder itself, or in ``annotations/`` or ``labels/`` in it. Without a split ``val``
    a fifth of the training images becomes it.

    Args:
        folder: Of the photos and what is known of them.
        annotations: A file of the working format to read instead; drawn masks are left out then.

    Raises:
        UserInputError: If there is no such folder, nothing is found, something is wrong, or an image is
            missing, broken or of another size than its records say.
    """
    if annotations is None:
        data = find_annotations(folder)
    else:
        conversion = read_instances(annotations)
        images = _image_folder(Path(folder), conversion.splits)
        data = OwnData(conversion.splits, images, f'{annotations} (working format)')
    _check_images(data)
    _hold_out(data)
    return data


def find_annotations(folder: str | os.PathLike) -> OwnData:
    """:func:`read_own_folder`, with the splits as they are in the files.

    Masks that were drawn with the app (:class:`DrawnMasks`) are those of their objects.
    """
    root = Path(folder)
    if not root.is_dir():
        raise UserInputError.of(
            str(folder), 'no folder', 'a folder of photos and annotations', 'check the path'
        )
    found = next(filter(None, (look(root) for look in _LOOKS)), None)
    if found is None:
        raise UserInputError.of(
            str(folder),
            'no annotations',
            'instances.json, or the files of a labelling tool (docs/formats.md)',
            'label some images, or write sentences.jsonl',
        )
    conversion, source = found
    splits = conversion.splits
    images = _image_folder(root, splits)
    data = OwnData(splits, images, source, list(conversion.remarks))
    drawn = DrawnMasks(root)
    remark = drawn.apply(splits)
    if len(drawn):
        data.source = f'{source}, {len(drawn)} masks drawn in {drawn.path.name}'
    if remark:
        data.remarks.append(remark)
    return data


def _json_files(root: Path) -> list[Path]:
    return [path for place in PLACES for path in sorted((root / place).glob('*.json')) if path.is_file()]


def _kind(content: Any) -> str:
    """What a json file is."""
    if isinstance(content, dict) and {'images', 'annotations'} <= content.keys():
        return 'coco'
    if isinstance(content, dict) and content and all(isinstance(each, list) for each in content.values()):
        records = [record for each in content.values() for record in each[:1]]
        if records and all(isinstance(record, dict) and 'bbox' in record for record in records):
            return 'working'
    if isinstance(content, list) and content and isinstance(content[0], dict) and 'data' in content[0]:
        return 'label studio'
    if isinstance(content, dict) and {'shapes', 'imagePath'} <= content.keys():
        return 'labelme'
    return 'other'


def _look_for_json(root: Path) -> tuple[Conversion, str] | None:
    kinds: dict[str, list[Path]] = {}
    for path in _json_files(root):
        kinds.setdefault(_kind(load_json(path)), []).append(path)
    if 'working' in kinds:
        path = next((each for each in kinds['working'] if each.name == 'instances.json'), None)
        if path is None and len(kinds['working']) > 1:
            names = ', '.join(each.name for each in kinds['working'])
            raise UserInputError.of(
                str(root), f'several annotation files ({names})', 'one', 'call one instances.json'
            )
        path = path or kinds['working'][0]
        found = read_instances(path)
        others = [each for kind in ('labelme', 'coco', 'label studio') for each in kinds.get(kind, ())]
        if others:
            what = (
                'one other annotation file' if len(others) == 1 else f'{len(others)} other annotation files'
            )
            found.remarks.append(
                f'{path} was read, {what} not ({others[0].name}{", ..." * (len(others) > 1)})'
            )
        return found, f'{path} (working format)'
    lines = [path for place in PLACES for path in sorted((root / place).glob('*.jsonl'))]
    if lines:
        images = next((root / each for each in IMAGE_FOLDERS[1:] if (root / each).is_dir()), root)
        return read_json_lines(lines[0], images), f'{lines[0]} (json lines)'
    if 'coco' in kinds:
        return _joined(kinds['coco'], read_coco_sentences), f'{", ".join(map(str, kinds["coco"]))} (COCO)'
    if 'label studio' in kinds:
        path = kinds['label studio'][0]
        return read_label_studio(path, root), f'{path} (Label Studio)'
    return None


def _joined(paths: list[Path], read: Callable[[Path], Conversion]) -> Conversion:
    """The splits of several files."""
    whole = read(paths[0])
    for path in paths[1:]:
        other = read(path)
        twice = whole.splits.keys() & other.splits.keys()
        if twice:
            raise UserInputError.of(
                str(path),
                f'the split {min(twice)!r}, which another file has',
                'a split in one file',
                'rename it',
            )
        whole.splits.update(other.splits)
        whole.remarks += other.remarks
    return whole


def _look_for_cvat(root: Path) -> tuple[Conversion, str] | None:
    path = next(
        (
            root / place / 'annotations.xml'
            for place in PLACES
            if (root / place / 'annotations.xml').is_file()
        ),
        None,
    )
    return None if path is None else (read_cvat(path, root), f'{path} (CVAT)')


def _look_for_yolo(root: Path) -> tuple[Conversion, str] | None:
    yaml = [*root.glob('data.yaml'), *root.glob('data.yml')]
    has_labels = (
        (root / 'labels').is_dir() and (root / 'images').is_dir() and any((root / 'labels').rglob('*.txt'))
    )
    return (read_yolo(root), f'{root} (YOLO)') if yaml or has_labels else None


def _look_for_voc(root: Path) -> tuple[Conversion, str] | None:
    has_xml = (root / 'Annotations').is_dir() and any((root / 'Annotations').glob('*.xml'))
    return (read_voc(root), f'{root} (Pascal VOC)') if has_xml else None


def _look_for_labelme(root: Path) -> tuple[Conversion, str] | None:
    for path in sorted(root.rglob('*.json')):
        content = load_json(path)
        if isinstance(content, dict) and 'shapes' in content:
            return read_labelme(root), f'{root} (labelme)'
    return None


def _look_for_masks(root: Path) -> tuple[Conversion, str] | None:
    if not (root / 'masks').is_dir() or not any(image_files(root / 'masks')):
        return None
    images = root / 'images' if (root / 'images').is_dir() else root
    texts = next(
        (root / name for name in ('sentences.csv', 'sentences.jsonl') if (root / name).is_file()), None
    )
    return read_mask_folders(
        images, root / 'masks', ImportOptions(), texts
    ), f'{root / "masks"} (mask images)'


def _look_for_parquet(root: Path) -> tuple[Conversion, str] | None:
    if not any(True for ending in ('*.parquet', '*.arrow') for _ in root.rglob(ending)):
        return None
    saved = root / 'images'
    return read_hugging_face(root, save_images=saved), f'{root} (parquet or arrow; images written to {saved})'


_LOOKS = (
    _look_for_json,
    _look_for_cvat,
    _look_for_yolo,
    _look_for_voc,
    _look_for_labelme,
    _look_for_masks,
    _look_for_parquet,
)


def _image_folder(root: Path, splits: dict[str, list[dict]]) -> Path:
    """The folder below which all images of some records lie.

    Raises:
        UserInputError: If there is none; the sentence names the first that is missing where most are found.
    """
    names = sorted({record.get('file_name') or '' for records in splits.values() for record in records})
    if '' in names:
        raise UserInputError.of(
            str(root), 'objects without a file_name', 'the names of their images', 'add them'
        )
    counts = {
        root / place: sum(os.path.isfile(root / place / name) for name in names)
        for place in IMAGE_FOLDERS
        if (root / place).is_dir()
    }
    best = max(counts, key=counts.__getitem__)
    if counts[best] < len(names):
        missing = next(name for name in names if not os.path.isfile(best / name))
        raise UserInputError.of(
            str(root),
            f'{len(names) - counts[best]} of {len(names)} images missing (the first is {missing})',
            'all images that are annotated',
            'copy them there, or remove their annotations',
        )
    return best


def _check_images(data: OwnData) -> None:
    """Look at each image's header and end: what is wrong with one would stop the training in its course."""
    records = {record['file_name']: record for records in data.splits.values() for record in records}
    problems = {}
    for name, record in sorted(records.items()):
        problem = image_problem(data.images / name, record['height'], record['width'])
        if problem:
            problems[name] = problem
    if not problems:
        return
    name, first = next(iter(problems.items()))
    where = str(data.images / name)
    if len(problems) > 1:
        where = f'{len(problems)} of {len(records)} images cannot be trained on, the first is {where}'
    raise UserInputError.of(where, *first)


def _hold_out(data: OwnData) -> None:
    """See that there are ``train`` and ``val``."""
    splits = data.splits
    if 'train' not in splits:
        first = next(iter(splits))
        raise UserInputError.of(
            data.source,
            f'the splits {list(splits)}',
            'a split "train"',
            f'rename {first!r}, or give more images',
        )
    if 'val' in splits:
        return
    everything = splits['train']
    names = {record['file_name'] for record in everything}
    if len(names) < 2:
        splits['val'] = list(everything)
        data.remarks.append('there is one image: it is also what the training is scored on')
        return
    masked = {record['file_name'] for record in everything if record.get('mask') is not None}
    # Few masks are for learning: no more than their share is held out, none of one or two.
    chosen = set(_fifth(masked, 0)) | set(_fifth(names - masked, 1))
    chosen = chosen or set(_fifth(names, 1))
    splits['train'] = [record for record in everything if record['file_name'] not in chosen]
    splits['val'] = [record for record in everything if record['file_name'] in chosen]
    data.remarks.append(f'no split "val": {len(chosen)} of {len(names)} images were held out for it')


def _fifth(names: set[str], least: int) -> list[str]:
    """A share of some images, drawn by their names; at least ``least`` of two and more."""
    drawn = sorted(names, key=lambda name: (zlib.crc32(name.encode('utf-8', 'backslashreplace')), name))
    share = len(drawn) * HELD_OUT / 100
    count = round(share) if least else int(share)
    return drawn[: max(count, least if len(drawn) > 1 else 0)]
