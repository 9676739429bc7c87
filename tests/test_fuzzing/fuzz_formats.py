"""The readers of labelling tools' files, and the ways there: what they may hold, and what is called on it."""

import base64
import io
import json
import shutil
from pathlib import Path
from typing import Any

from fuzz_base import Target, Unusable, use, write
from fuzz_strategies import (
    COCO,
    HEIGHT,
    POLYGON,
    WIDTH,
    bent,
    boxes,
    changed,
    coordinates,
    masks,
    mostly,
    near,
    numbers,
    records,
    scalars,
    texts,
    values,
)
from hypothesis import strategies as st
from PIL import Image

from mmrefseg.datasets.converters import (
    ImportOptions,
    exported,
    labelling_interface,
    read_coco_sentences,
    read_cvat,
    read_instances,
    read_label_studio,
    read_labelme,
    read_mask_folders,
    read_voc,
    read_yolo,
    write_cvat_coco,
    write_label_studio,
    write_labelme,
)
from mmrefseg.datasets.converters.hugging_face import RowReader
from mmrefseg.datasets.converters.image_finder import ImageFinder
from mmrefseg.datasets.converters.regions import RegionCollector
from mmrefseg.structures.brush_rle import brush_problem, decode_brush, encode_brush
from mmrefseg.structures.masks import to_bitmap
from mmrefseg.utils import UserInputError
from mmrefseg.utils.safe_xml import parse_xml

FULL = to_bitmap([POLYGON], HEIGHT, WIDTH)
BRUSH = encode_brush(FULL)


def _png() -> str:
    file = io.BytesIO()
    Image.new('L', (5, 4), 255).save(file, 'PNG')
    return base64.b64encode(file.getvalue()).decode()


# --- labelme ---

SHAPE = {
    'label': 'cup',
    'points': [[5, 5], [25, 5], [25, 25]],
    'shape_type': 'polygon',
    'description': 'the cup',
}
KINDS = (
    'polygon',
    'rectangle',
    'circle',
    'mask',
    'line',
    'point',
    'points',
    'linestrip',
    'oriented_rectangle',
)
labelme_shapes = changed(
    SHAPE,
    {
        **dict.fromkeys(('label', 'description', 'flags', 'ref_id', 'split', 'group_id'), values),
        'points': mostly(st.lists(mostly(near([[5, 30]], coordinates)), max_size=4)),
        'shape_type': mostly(st.sampled_from(KINDS)),
        'mask': mostly(st.just(_png())),
    },
)
labelme_files = mostly(
    changed(
        {
            'shapes': [SHAPE],
            'imagePath': 'a.png',
            'imageHeight': HEIGHT,
            'imageWidth': WIDTH,
            'imageData': None,
        },
        {
            'shapes': mostly(st.lists(mostly(labelme_shapes), max_size=3)),
            **dict.fromkeys(('imagePath', 'imageHeight', 'imageWidth', 'split', 'image_id'), values),
        },
    )
)


def labelme(folder: Path, content: Any) -> None:
    (folder / 'labelme').mkdir(exist_ok=True)
    write(folder / 'labelme', 'a.json', content)
    use(read_labelme(folder / 'labelme', folder / 'img'), folder)
    read_labelme(folder / 'labelme', folder / 'img', ImportOptions('label', skip_bad=True))


# --- CVAT and VOC: elements with attributes, drawn as text ---

words = mostly(numbers.map(str), scalars.map(str))
_points = st.lists(st.tuples(words, words).map(','.join), max_size=4).map(';'.join)
CVAT_SHAPES = {
    'polygon': {'points': '5,5;25,5;25,25'},
    'box': {'xtl': '5', 'ytl': '5', 'xbr': '20', 'ybr': '20', 'rotation': '0'},
    'ellipse': {'cx': '20', 'cy': '20', 'rx': '9', 'ry': '5'},
    'mask': {'rle': '1,2,3,2,4', 'left': '10', 'top': '20', 'width': '4', 'height': '3'},
    'polyline': {'points': '1,1;2,2'},
}


def _quoted(text: str) -> str:
    for letter, escape in (('&', '&amp;'), ('<', '&lt;'), ('"', '&quot;')):
        text = text.replace(letter, escape)
    return text


@st.composite
def cvat_files(draw) -> bytes:
    kind = draw(st.sampled_from(sorted(CVAT_SHAPES)))
    given = {'label': 'cup', **CVAT_SHAPES[kind]}
    for key in draw(st.lists(st.sampled_from([*given, 'group_id', 'rotation']), max_size=2, unique=True)):
        given[key] = draw(_points if key == 'points' else words)
    image = {'name': 'a.png', 'width': str(WIDTH), 'height': str(HEIGHT)}
    for key in draw(st.lists(st.sampled_from([*image, 'subset']), max_size=1)):
        image[key] = draw(mostly(texts, words))
    inside = f'<attribute name="expression">{_quoted(draw(mostly(st.just("the cup"), texts)))}</attribute>'
    shape = f'<{kind} {_attributes(given)} frame="1">{inside}</{kind}>'
    around = draw(st.sampled_from([('<image {}>', '</image>')] * 3 + [('<track label="cup">', '</track>')]))
    start, end = around[0].format(_attributes(image)), around[1]
    size = f'<original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size>'
    text = f'<annotations>{size}{start}{shape}{shape}{end}</annotations>'
    return text.encode('utf-8', 'surrogatepass')


def _attributes(given: dict[str, str]) -> str:
    return ' '.join(f'{key}="{_quoted(value)}"' for key, value in given.items())


def cvat(folder: Path, content: bytes) -> None:
    use(read_cvat(write(folder, 'cvat.xml', content), None), folder)


_DOCUMENTS = [
    b'<?xml version="1.0" encoding="utf-8"?><a x="1"><b>&lt;caf\xc3\xa9&gt; &#233;</b><?pi x?><!-- c --></a>',
    b'<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y SYSTEM "file:///etc/passwd">]><a>&x;&y;</a>',
    b'<a><![CDATA[<x>]]></a>',
]


def xml_texts(folder: Path, content: bytes) -> None:
    root = parse_xml(content, 'x.xml')
    json.dumps([(each.tag, each.attrib, each.text) for each in root.iter()])


@st.composite
def voc_files(draw) -> str:
    corners = [draw(mostly(st.just(str(each)), words)) for each in (6, 6, 25, 25)]
    box = ''.join(
        f'<{key}>{_quoted(v)}</{key}>'
        for key, v in zip(('xmin', 'ymin', 'xmax', 'ymax'), corners, strict=True)
    )
    name, width = draw(mostly(st.just('a.png'), texts)), draw(mostly(st.just(str(WIDTH)), words))
    item = f'<object><name>{_quoted(draw(texts))}</name><bndbox>{box}</bndbox><caption>cup</caption></object>'
    size = f'<size><width>{_quoted(width)}</width><height>{HEIGHT}</height></size>'
    return f'<annotation><filename>{_quoted(name)}</filename>{size}{item}</annotation>'


def voc(folder: Path, text: str) -> None:
    (folder / 'voc' / 'Annotations').mkdir(parents=True, exist_ok=True)
    write(folder / 'voc' / 'Annotations', 'a.xml', text.encode('utf-8', 'surrogatepass'))
    masks_folder = folder / 'voc' / 'SegmentationObject'
    if not masks_folder.is_dir():
        masks_folder.mkdir()
        Image.fromarray(FULL.astype('uint8')).save(masks_folder / 'a.png')
    use(read_voc(folder / 'voc', folder / 'img'), folder)


# --- Label Studio ---

brush_codes = mostly(
    st.one_of(near([BRUSH], st.integers(0, 255)), near([BRUSH], numbers), bent([bytes(BRUSH)]).map(list))
)


def brush(folder: Path, codes: Any) -> None:
    problem, mask = brush_problem(codes, HEIGHT, WIDTH)
    if problem:
        raise UserInputError.of('brush', *problem)
    if not (decode_brush(encode_brush(mask), HEIGHT, WIDTH) == mask).all():
        raise Unusable('another mask after a round trip')


LS_VALUE = {
    'points': [[10, 10], [40, 10], [40, 40]],
    'x': 10,
    'y': 10,
    'width': 30,
    'height': 30,
    'radiusX': 9,
    'radiusY': 5,
    'rle': BRUSH,
    'imageDataURL': f'data:image/png;base64,{_png()}',
    'polygonlabels': ['cup'],
}
LS_KINDS = (
    'polygonlabels',
    'rectanglelabels',
    'ellipselabels',
    'brushlabels',
    'bitmasklabels',
    'keypointlabels',
)
ls_results = changed(
    {
        'id': 'r1',
        'type': 'polygonlabels',
        'original_width': WIDTH,
        'original_height': HEIGHT,
        'value': LS_VALUE,
        'image_rotation': 0,
    },
    {
        **dict.fromkeys(('id', 'original_width', 'original_height', 'image_rotation'), values),
        'type': mostly(st.sampled_from(LS_KINDS)),
        'value': mostly(
            changed(
                LS_VALUE,
                {
                    **dict.fromkeys(('x', 'y', 'width', 'height', 'radiusX', 'rotation'), numbers),
                    'points': values,
                    'rle': brush_codes,
                    'polygonlabels': values,
                    'imageDataURL': texts,
                },
            )
        ),
    },
)
TEXT_AREA = {'id': 'r1', 'type': 'textarea', 'value': {'text': ['the cup']}}
ls_files = mostly(
    st.tuples(
        st.lists(mostly(ls_results), min_size=1, max_size=2),
        mostly(st.just(TEXT_AREA)),
        mostly(
            st.sampled_from(['a.png', '/data/upload/1/01234567-a.png', '/data/local-files/?d=a.png']), texts
        ),
    ).map(lambda parts: [{'data': {'image': parts[2]}, 'annotations': [{'result': [*parts[0], parts[1]]}]}])
)


def label_studio(folder: Path, content: Any) -> None:
    path = write(folder, 'studio.json', content)
    use(read_label_studio(path), folder)
    read_label_studio(path, folder / 'img', ImportOptions(skip_bad=True))


# --- COCO with sentences, YOLO, Hugging Face, masks ---

_ANNOTATION = {**COCO['annotations'][0], 'caption': 'the cup'}
coco_texts = st.tuples(
    changed(
        _ANNOTATION,
        {
            **dict.fromkeys(('caption', 'expressions', 'attributes', 'tokens_positive', 'ref_id'), values),
            'bbox': boxes,
            'segmentation': masks,
            'iscrowd': st.sampled_from([0, 1]),
        },
    ),
    mostly(st.just('a cup of tea')),
)


def coco_sentences(folder: Path, example: tuple) -> None:
    annotation, caption = example
    image = {**COCO['images'][0], 'caption': caption}
    content = {**COCO, 'images': [image], 'annotations': [annotation]}
    use(read_coco_sentences(write(folder, 'texts.json', content)), folder)


yolo_lines = mostly(
    st.lists(
        mostly(st.sampled_from(['0', '.5', '0.1', '.2', '.3', '.4']), words), min_size=3, max_size=9
    ).map(' '.join),
    st.one_of(texts, st.binary(max_size=20)),
)


def yolo(folder: Path, line: Any) -> None:
    (folder / 'yolo' / 'labels').mkdir(parents=True, exist_ok=True)
    if not (folder / 'yolo' / 'images').exists():
        (folder / 'yolo' / 'images').symlink_to(folder / 'img')
    content = line if isinstance(line, bytes) else line.encode('utf-8', 'surrogatepass')
    write(folder / 'yolo' / 'labels', 'a.txt', content + b'\n0 .5 .5 .2 .2\n')
    use(read_yolo(folder / 'yolo'), folder)


yaml_files = st.one_of(
    changed(
        {'names': ['cup'], 'train': 'images'}, dict.fromkeys(('names', 'train', 'val', 'path'), values)
    ).map(lambda content: json.dumps(content).encode()),
    bent([b'names:\n  0: cup\ntrain: images\n', b'names: [cup]\nval: images\n', b'a: &x [*x, *x]\n']),
)


def yolo_yaml(folder: Path, content: bytes) -> None:
    yolo(folder, '0 .5 .5 .2 .2')
    path = write(folder / 'yolo', 'other.yaml', content)
    try:
        use(read_yolo(path), folder)
    finally:
        Path(path).unlink()


ROW = {
    'file_name': 'a.png',
    'bbox': [5, 5, 20, 20],
    'segmentation': [POLYGON],
    'sentences': ['the cup'],
    'split': 'val',
}
hugging_face_rows = changed(
    ROW,
    {
        **dict.fromkeys(
            ('file_name', 'image', 'split', 'sentences', 'raw_anns', 'samples', 'objects'), values
        ),
        **dict.fromkeys(('image_id', 'category', 'category_id', 'image_path', 'height', 'width'), values),
        'bbox': boxes,
        'segmentation': mostly(masks, st.one_of(values, st.just(json.dumps([POLYGON])))),
    },
)


def hugging_face(folder: Path, row: Any) -> None:
    collector = RegionCollector(ImportOptions())
    RowReader(ImageFinder(folder / 'img'), None, collector).read(row, None, 'row 0')
    use(collector.finish('rows'), folder)


def _mask_images() -> list[bytes]:
    made = []
    for mode in ('L', 'P', '1', 'RGBA'):
        file = io.BytesIO()
        Image.fromarray(FULL.astype('uint8') * 255).convert(mode).save(file, 'PNG')
        made.append(file.getvalue())
    return made


def mask_images(folder: Path, content: bytes) -> None:
    (folder / 'maskfiles').mkdir(exist_ok=True)
    write(folder / 'maskfiles', 'a_the cup.png', content)
    use(read_mask_folders(folder / 'img', folder / 'maskfiles'), folder)


def there_and_back(folder: Path, record: Any) -> None:
    """What an export writes, its own reader takes, with the same object in it."""
    splits = read_instances(write(folder, 'i.json', {'train': [record]})).splits
    entries = exported(splits, '{}.png')
    out = folder / 'out'
    shutil.rmtree(out, ignore_errors=True)
    write_labelme(entries, out / 'labelme')
    write_cvat_coco(entries, out / 'cvat')
    write_label_studio(entries, out / 'tasks.json')
    tasks = json.loads((out / 'tasks.json').read_text())
    tasks[0]['annotations'] = tasks[0].pop('predictions')
    parse_xml(labelling_interface(entries).encode('utf-8', 'backslashreplace'), 'interface')
    try:
        # The readers cut boxes off at the image, and masks may have lost their last pixel there.
        for conversion in (
            read_labelme(out / 'labelme'),
            read_coco_sentences(out / 'cvat' / 'annotations' / 'instances_train.json'),
            read_label_studio(write(out, 'project.json', tasks)),
        ):
            (again,) = conversion.splits['train']
            if len(again['expressions']) > len(entries[0].record['expressions']) + 5:
                raise Unusable('more sentences than before')
    except UserInputError as error:
        raise Unusable(f'{error}') from error


FORMAT_TARGETS = {
    'labelme': Target(labelme_files, labelme, 0.3),
    'CVAT': Target(cvat_files(), cvat, 0.3),
    'xml': Target(st.one_of(st.sampled_from(_DOCUMENTS), bent(_DOCUMENTS)), xml_texts, 0.3),
    'Pascal VOC': Target(voc_files(), voc, 0.3),
    'Label Studio': Target(ls_files, label_studio, 0.3),
    'brush': Target(brush_codes, brush, 0.3),
    'COCO with sentences': Target(coco_texts, coco_sentences, 0.3),
    'YOLO': Target(yolo_lines, yolo, 0.3),
    'YOLO yaml': Target(yaml_files, yolo_yaml, 0.3),
    'Hugging Face': Target(hugging_face_rows, hugging_face, 0.3),
    'mask images': Target(bent(_mask_images()), mask_images, 0.3),
    'exports': Target(records, there_and_back, 0.2),
}
