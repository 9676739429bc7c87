"""Label Studio: tasks with annotations in, tasks with pre-annotations out."""

import base64
import binascii
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from ...structures.brush_rle import brush_problem, encode_brush
from ...structures.masks import Mask, to_bitmap
from ...structures.rle import encode_mask
from ...utils import UserInputError, dump_json, load_json
from ...utils.errors import short
from ..validation import name_problem
from .conversion import Conversion
from .exports import Exported, by_image, drawn_mask, label_of
from .image_finder import ImageFinder
from .mask_images import decode_mask_image
from .regions import ImportOptions, Region, RegionCollector, known_as, lines_of, whole_or_none
from .shapes import SUFFIXES, box_around, ellipse, flat, pairs, rectangle

EXPECTED = "Label Studio's json (tasks with annotations)"
MODEL_VERSION = 'mmrefseg'
# What an upload puts before a name.
_UPLOAD = re.compile(r'^[0-9a-f]{8}-')
# Regions of an object that this package has exported: its ref_id, and which of its parts it is.
_OWN_ID = re.compile(r'^ref(\d{1,17})(\.\d+)?$')
_SHAPES = ('polygon', 'rectangle', 'ellipse', 'brush', 'bitmask')


def read_label_studio(
    path: str | os.PathLike,
    images: str | os.PathLike | None = None,
    options: ImportOptions | None = None,
) -> Conversion:
    """Read what Label Studio exports as JSON.

    Polygons, ellipses, brush strokes and bit masks are masks; a rectangle, turned or not, is a box without
    one. Key points and the like have no area and are counted. The sentences of a region are the texts of its
    text areas (``<TextArea perRegion="true">``), or with ``text_field`` of the one of that name. Of several
    annotations of a task the ground truth counts, else the last that was not cancelled. ``split`` among a
    task's data names the split.

    Args:
        path: The json file.
        images: Folder of the images; by default the sizes in the file are taken as they are.
        options: See :class:`~mmrefseg.datasets.converters.regions.ImportOptions`.

    Raises:
        UserInputError: If the file or a region is wrong.
    """
    tasks = load_json(path)
    if isinstance(tasks, dict):
        tasks = [tasks]
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise UserInputError.of(str(path), 'no list of tasks', EXPECTED, 'export as JSON')
    collector = RegionCollector(options or ImportOptions())
    finder = ImageFinder(images)
    for number, task in enumerate(tasks):
        where = f'{path} task {number}'
        try:
            _read_task(task, finder, collector, where)
        except UserInputError as error:
            collector.skip(error)
    return collector.finish(str(path))


def _read_task(task: dict, finder: ImageFinder, collector: RegionCollector, where: str) -> None:
    data = task.get('data')
    annotations = task.get('annotations', task.get('completions'))
    if not isinstance(data, dict) or not isinstance(annotations, list):
        raise UserInputError.of(
            where, 'no "data" and "annotations"', EXPECTED, 'export as JSON, not as JSON-MIN'
        )
    results = _results(annotations, where)
    if not results:
        collector.leave_out('task without an annotation')
        return
    name = finder.find(_image_names(data, where), where)
    split = data.get('split')
    split = split.strip() if isinstance(split, str) and split.strip() else None
    regions: dict[Any, list[dict]] = {}
    for place, result in enumerate(results):
        key = result.get('id')
        regions.setdefault(key if isinstance(key, str | int) else ('without', place), []).append(result)
    for key, parts in regions.items():
        for region in _regions(key, parts, name, finder, collector, f'{where} region {short(key)}'):
            region.split = split
            region.image_id = whole_or_none(data.get('image_id'))
            collector.add(region)


def _results(annotations: list, where: str) -> list[dict]:
    """The results of the annotation that counts."""
    if not all(isinstance(each, dict) for each in annotations):
        raise UserInputError.of(where, 'annotations that are no objects', EXPECTED, 'export again')
    valid = [each for each in annotations if not each.get('was_cancelled')]
    true = [each for each in valid if each.get('ground_truth')]
    results = (true or valid)[-1].get('result', []) if valid else []
    if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
        raise UserInputError.of(where, 'a result that is no list of objects', EXPECTED, 'export again')
    return results


def _image_names(data: dict, where: str) -> list[str]:
    """What the image of a task may be called, the most likely first."""
    keys = ('image', 'img', 'photo', 'picture')
    address = next((data[key] for key in keys if isinstance(data.get(key), str)), None)
    if address is None:
        endings = [
            text for text in data.values() if isinstance(text, str) and _path(text).lower().endswith(SUFFIXES)
        ]
        address = endings[0] if endings else None
    problem = name_problem(_path(address) if address else None)
    if problem:
        raise UserInputError.of(where, *problem)
    path = _path(address)
    last = path.rpartition('/')[2]
    bare = _UPLOAD.sub('', last)
    if path.startswith('data/upload/') or not last:
        return [bare or path, last or path, path]
    return [path, bare]


def _path(address: str) -> str:
    """The path of a file in an address of Label Studio: uploads, local files, buckets, the web."""
    try:
        parts = urlsplit(address)
        local = parse_qs(parts.query).get('d')
    except ValueError:
        return address
    return local[0].lstrip('/') if local else unquote(parts.path).lstrip('/')


def _regions(
    key: Any, parts: list[dict], name: str, finder: ImageFinder, collector: RegionCollector, where: str
) -> list[Region]:
    """The shapes among the results of one region id, with the texts that belong to them."""
    drawn, texts = [], []
    for part in parts:
        kind = str(part.get('type')).lower()
        shape = kind.removesuffix('labels')
        if shape in _SHAPES:
            drawn.append((shape, part))
        elif kind not in ('textarea', 'choices', 'labels', 'rating', 'number', 'taxonomy', 'relation'):
            collector.leave_out(f'region without area ({shape[:20]})')
    regions = []
    for shape, part in drawn:
        try:
            label = next(filter(None, map(_label, [part, *parts])), None)
            texts = _texts(parts, collector.options.text_field, label, where)
            said = part.get('original_height'), part.get('original_width')
            size = finder.size(name, said, where)
            if part.get('image_rotation'):
                raise UserInputError.of(where, 'a turned image', 'image_rotation 0', 'turn the file itself')
            mask, box = _area(shape, part.get('value'), size, where)
        except UserInputError as error:
            collector.skip(error)
            continue
        region = Region(name, size, where, label, mask, box, texts)
        own = _OWN_ID.match(key.partition('#')[0]) if isinstance(key, str) else None
        region.ref_id = int(own[1]) if own else None
        region.group = f'ref {own[1]}' if own else None
        regions.append(region)
    return regions


def _label(result: dict) -> str | None:
    value, kind = result.get('value'), result.get('type')
    if not isinstance(value, dict) or not isinstance(kind, str) or not kind.lower().endswith('labels'):
        return None
    labels = value.get(kind)
    return known_as(labels[0]) if isinstance(labels, list) and labels else None


def _texts(parts: Sequence[dict], text_field: str | None, label: str | None, where: str) -> list[str]:
    """The sentences of a region's text areas."""
    if text_field == 'label':
        return [label] if label else []
    found: list[str] = []
    for part in parts:
        value = part.get('value')
        if part.get('type') != 'textarea' or not isinstance(value, dict):
            continue
        if text_field is None or str(part.get('from_name')).lower() == text_field.lower():
            found += lines_of(value.get('text'), where)
    return list(dict.fromkeys(found))


def _area(
    shape: str, value: Any, size: tuple[int, int], where: str
) -> tuple[Mask | None, list[float] | None]:
    """Mask and box of a shape, one of the two. Lengths in a value are percentages of the image."""
    height, width = size
    if not isinstance(value, Mapping):
        raise UserInputError.of(where, 'a region without a value', EXPECTED, 'export again')
    if shape == 'polygon':
        points = value.get('points')
        if not isinstance(points, list) or not all(
            isinstance(each, list) and len(each) == 2 for each in points
        ):
            raise UserInputError.of(where, 'points that are no list of [x, y]', EXPECTED, 'export again')
        return [flat([(_share(x, width, where), _share(y, height, where)) for x, y in points])], None
    if shape == 'brush':
        problem, bitmap = brush_problem(value.get('rle'), height, width)
        if problem:
            raise UserInputError.of(where, *problem)
        return encode_mask(bitmap), None
    if shape == 'bitmask':
        return encode_mask(_bitmask(value.get('imageDataURL'), size, where)), None
    x, y = _share(value.get('x'), width, where), _share(value.get('y'), height, where)
    rotation = _share(value.get('rotation') or 0, 100, where)
    if shape == 'ellipse':
        radii = _share(value.get('radiusX'), width, where), _share(value.get('radiusY'), height, where)
        return [flat(ellipse((x, y), radii, rotation))], None
    far = x + _share(value.get('width'), width, where), y + _share(value.get('height'), height, where)
    return None, box_around(rectangle((x, y), far, rotation, about=(x, y)), size)


def _share(value: Any, whole: float, where: str) -> float:
    """A percentage of a length."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15
    if not number or not math.isfinite(value):
        raise UserInputError.of(
            where, f'the length {short(value)}', 'a percentage of the image', 'export again'
        )
    return value / 100 * whole


def _bitmask(address: Any, size: tuple[int, int], where: str) -> Any:
    """The foreground of a region of a bit mask: an image as a ``data:`` address."""
    head, comma, encoded = address.partition(',') if isinstance(address, str) else ('', '', '')
    try:
        content = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        content = b''
    if not head.startswith('data:image/') or not comma or not content:
        raise UserInputError.of(
            where, 'no image in imageDataURL', 'data:image/png;base64,...', 'export again'
        )
    bitmap = decode_mask_image(content, where)
    if bitmap.shape != size:
        raise UserInputError.of(
            where,
            f'a mask of {bitmap.shape[1]} x {bitmap.shape[0]} pixels',
            f'{size[1]} x {size[0]} as its image has',
            'export again',
        )
    return bitmap


def write_label_studio(
    entries: Sequence[Exported],
    path: str | os.PathLike,
    url: str = '/data/local-files/?d=',
    tolerance: float = 0.5,
    brush: bool = False,
    model_version: str = MODEL_VERSION,
) -> int:
    """Write tasks with pre-annotations, and beside them the labelling interface that they belong to.

    A mask becomes polygons, or with a hole a brush region; an object without a mask a rectangle. Its
    sentences are in the text area ``expression`` of its region. A region's id tells its object's ``ref_id``,
    so that :func:`read_label_studio` knows the objects again; ``score`` is the mean of the masks' scores,
    where they have some.

    Args:
        entries: See :func:`~mmrefseg.datasets.converters.exports.exported`.
        path: The json to import into a project; the interface is ``<path>.interface.xml``.
        url: What comes before an image's name, which is quoted as an address.
        tolerance: How far the polygons of a mask that is no polygon may leave its pixels, in pixels.
        brush: Write every mask as a brush region.
        model_version: What the predictions are called in Label Studio.

    Returns:
        The number of tasks.
    """
    tasks = []
    for name, members in by_image(entries).items():
        split, first, _ = members[0]
        results = [part for entry in members for part in _predicted(entry.record, tolerance, brush)]
        prediction: dict[str, Any] = {'model_version': model_version, 'result': results}
        scores = [
            entry.record['mask_score'] for entry in members if _is_score(entry.record.get('mask_score'))
        ]
        if scores:
            prediction['score'] = sum(scores) / len(scores)
        data = {'image': f'{url}{quote(name)}', 'split': split, 'image_id': first['image_id']}
        tasks.append({'data': data, 'predictions': [prediction]})
    dump_json(tasks, path)
    return len(tasks)


def _is_score(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def labelling_interface(entries: Sequence[Exported]) -> str:
    """The xml of a project's labelling interface, in which :func:`write_label_studio`'s tasks can be
    mended."""
    from xml.sax.saxutils import quoteattr

    labels = sorted({label_of(entry.record) for entry in entries})
    inside = '\n'.join(f'    <Label value={quoteattr(label)}/>' for label in labels)
    controls = [
        f'  <{tag} name="{name}" toName="image">\n{inside}\n  </{tag}>'
        for tag, name in (('PolygonLabels', 'polygon'), ('BrushLabels', 'brush'), ('RectangleLabels', 'box'))
    ]
    text = (
        '  <TextArea name="expression" toName="image" perRegion="true" editable="true" maxSubmissions="20"/>'
    )
    return '\n'.join(
        ['<View>', '  <Image name="image" value="$image" zoom="true"/>', *controls, text, '</View>', '']
    )


def _predicted(record: dict, tolerance: float, brush: bool) -> list[dict]:
    """The results of a record: its shapes and, with each, its sentences."""
    height, width = int(record['height']), int(record['width'])
    frame = {'original_width': width, 'original_height': height, 'image_rotation': 0, 'to_name': 'image'}
    shapes = _values(record, tolerance, brush)
    results = []
    for part, (kind, name, value) in enumerate(shapes):
        id_ = f'ref{record["ref_id"]}' + (f'.{part}' if part else '')
        results.append({**frame, 'id': id_, 'from_name': name, 'type': kind, 'value': value})
        text = {'text': list(record['expressions'])}
        results.append({**frame, 'id': id_, 'from_name': 'expression', 'type': 'textarea', 'value': text})
    return results


def _values(record: dict, tolerance: float, brush: bool) -> list[tuple[str, str, dict]]:
    """Type, control and value of each shape of a record."""
    height, width = int(record['height']), int(record['width'])
    labels = [label_of(record)]
    if record.get('mask') is None:
        x, y, w, h = record['bbox']
        value = {'x': 100 * x / width, 'y': 100 * y / height, 'rotation': 0}
        value |= {'width': 100 * w / width, 'height': 100 * h / height, 'rectanglelabels': labels}
        return [('rectanglelabels', 'box', value)]
    polygons = None if brush else drawn_mask(record, tolerance)
    if polygons is None:
        codes = encode_brush(to_bitmap(record['mask'], height, width))
        return [('brushlabels', 'brush', {'format': 'rle', 'rle': codes, 'brushlabels': labels})]
    return [
        (
            'polygonlabels',
            'polygon',
            {
                'points': [[100 * x / width, 100 * y / height] for x, y in pairs(polygon)],
                'closed': True,
                'polygonlabels': labels,
            },
        )
        for polygon in polygons
    ]
