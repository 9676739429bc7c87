"""Label Studio's export: regions of every kind, and the text areas that belong to them."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from mmrefseg.datasets.converters import ImportOptions, read_label_studio
from mmrefseg.structures.brush_rle import encode_brush
from mmrefseg.structures.masks import to_bitmap
from mmrefseg.utils import UserInputError, dump_json

HEIGHT, WIDTH = 50, 100
FRAME = {'original_width': WIDTH, 'original_height': HEIGHT, 'image_rotation': 0, 'to_name': 'image'}
BLOCK = np.zeros((HEIGHT, WIDTH), bool)
BLOCK[10:20, 30:60] = True


def region(kind, value, id_='r1', label='cup', **fields):
    value = {**value, f'{kind}labels': [label]} if label else value
    type_ = f'{kind}labels' if label else kind
    return {**FRAME, 'id': id_, 'from_name': 'tool', 'type': type_, 'value': value, **fields}


def text(*sentences, id_='r1', name='expression'):
    return {**FRAME, 'id': id_, 'from_name': name, 'type': 'textarea', 'value': {'text': list(sentences)}}


def task(*results, image='/data/upload/1/0123abcd-a.jpg', **fields):
    return {'id': 1, 'data': {'image': image}, 'annotations': [{'result': list(results)}], **fields}


def read(folder, *tasks, images=None, **options):
    dump_json(list(tasks), folder / 'project.json')
    return read_label_studio(folder / 'project.json', images, ImportOptions(**options))


def only(folder, *results, **options):
    (record,) = read(folder, task(*results), **options).splits['train']
    return record


def bitmap(record):
    return to_bitmap(record['mask'], HEIGHT, WIDTH)


POLYGON = {'points': [[30, 20], [60, 20], [60, 40], [30, 40]], 'closed': True}


def test_regions_of_every_kind(tmp_path):
    assert only(tmp_path, region('polygon', POLYGON))['bbox'] == [30, 10, 30, 10]
    np.testing.assert_array_equal(bitmap(only(tmp_path, region('polygon', POLYGON))), BLOCK)
    brush = region('brush', {'format': 'rle', 'rle': encode_brush(BLOCK)})
    np.testing.assert_array_equal(bitmap(only(tmp_path, brush)), BLOCK)
    with io.BytesIO() as file:
        Image.fromarray(BLOCK.astype(np.uint8) * 255).save(file, 'PNG')
        address = 'data:image/png;base64,' + base64.b64encode(file.getvalue()).decode()
    np.testing.assert_array_equal(bitmap(only(tmp_path, region('bitmask', {'imageDataURL': address}))), BLOCK)
    ellipse = only(
        tmp_path, region('ellipse', {'x': 50, 'y': 50, 'radiusX': 10, 'radiusY': 40, 'rotation': 0})
    )
    assert ellipse['bbox'] == pytest.approx([40, 5, 20, 40])
    box = only(tmp_path, region('rectangle', {'x': 10, 'y': 20, 'width': 30, 'height': 40, 'rotation': 0}))
    assert 'mask' not in box and box['bbox'] == [10, 10, 30, 20]
    # about its upper left corner, clockwise: what went right goes down
    turned = only(
        tmp_path, region('rectangle', {'x': 50, 'y': 20, 'width': 30, 'height': 40, 'rotation': 90})
    )
    assert turned['bbox'] == pytest.approx([30, 10, 20, 30])
    point = region('keypoint', {'x': 1, 'y': 1, 'width': 0.3}, id_='p')
    conversion = read(tmp_path, task(region('polygon', POLYGON), point))
    assert any('1 x region without area (keypoint) left out' in remark for remark in conversion.remarks)


def test_sentences_are_the_text_areas_of_the_region(tmp_path):
    results = [
        region('polygon', POLYGON, 'r1'),
        text('the left cup', 'cup\nwith a rim', id_='r1'),
        region('rectangle', {'x': 1, 'y': 1, 'width': 9, 'height': 9}, 'r2'),
        text('a remark', id_='r2', name='remark'),
        text('the small one', id_='r2'),
        {'id': 'r2', 'type': 'choices', 'value': {'choices': ['easy']}},
    ]
    first, second = read(tmp_path, task(*results)).splits['train']
    assert first['expressions'] == ['the left cup', 'cup', 'with a rim']
    assert second['expressions'] == ['a remark', 'the small one']
    _, second = read(tmp_path, task(*results), text_field='expression').splits['train']
    assert second['expressions'] == ['the small one']
    assert only(tmp_path, *results[:2], text_field='label')['expressions'] == ['cup']
    # the label of a <Labels> apart from the shape, and a text that is one
    apart = [
        region('polygon', POLYGON, label=None),
        {'id': 'r1', 'type': 'labels', 'value': {'labels': ['dog']}},
    ]
    alone = {**text(), 'value': {'text': 'one sentence'}}
    record = only(tmp_path, *apart, alone)
    assert (record['category'], record['expressions']) == ('dog', ['one sentence'])


def test_which_annotation_counts(tmp_path):
    def annotation(sentence, **fields):
        return {'result': [region('polygon', POLYGON), text(sentence)], **fields}

    def chosen(*annotations):
        (record,) = read(tmp_path, {**task(), 'annotations': list(annotations)}).splits['train']
        return record['expressions'][0]

    assert chosen(annotation('first'), annotation('last')) == 'last'
    assert chosen(annotation('first'), annotation('last', was_cancelled=True)) == 'first'
    assert chosen(annotation('true', ground_truth=True), annotation('last')) == 'true'
    old = {**task(), 'completions': [annotation('old')]}
    del old['annotations']
    assert read(tmp_path, old).splits['train'][0]['expressions'] == ['old']
    conversion = read(tmp_path, task(region('polygon', POLYGON)), task(), {**task(), 'annotations': []})
    assert any('2 x task without an annotation left out' in remark for remark in conversion.remarks)


@pytest.mark.parametrize(
    ('address', 'name'),
    [
        ('/data/upload/1/0123abcd-a.jpg', 'a.jpg'),
        ('/data/local-files/?d=set/sub/a%20b.jpg', 'set/sub/a b.jpg'),
        ('s3://bucket/set/a.jpg', 'set/a.jpg'),
        ('https://example.org/set/a%20b.jpg?x=1', 'set/a b.jpg'),
        ('set/a.jpg', 'set/a.jpg'),
    ],
)
def test_names_of_images(tmp_path, address, name):
    record = read(tmp_path, task(region('polygon', POLYGON), image=address)).splits['train'][0]
    assert record['file_name'] == name
    images = tmp_path / 'images'
    images.mkdir()
    last = name.rpartition('/')[2]
    Image.new('RGB', (WIDTH, HEIGHT)).save(images / last)
    record = read(tmp_path, task(region('polygon', POLYGON), image=address), images=images).splits['train'][0]
    assert record['file_name'] == last


BAD = {
    'a turned image': (region('polygon', POLYGON, image_rotation=90), 'a turned image'),
    'no points': (region('polygon', {'points': 3}), 'no list of'),
    'a point of texts': (region('polygon', {'points': [['a', 1], [2, 2], [3, 3]]}), "the length 'a'"),
    'infinite': (region('rectangle', {'x': 1e30, 'y': 1, 'width': 1, 'height': 1}), 'the length'),
    'half a brush': (region('brush', {'rle': encode_brush(BLOCK)[:-3]}), 'end in the middle'),
    'brush of another size': (region('brush', {'rle': encode_brush(BLOCK[:9])}), 'run lengths of 3600 words'),
    'no brush': (region('brush', {'rle': 'abc'}), 'run lengths'),
    'an address': (region('bitmask', {'imageDataURL': 'http://example.org'}), 'no image in imageDataURL'),
    'no value': (region('polygon', POLYGON) | {'value': None}, 'without a value'),
    'no size': (region('polygon', POLYGON) | {'original_width': None}, 'no height and width'),
    'an empty brush': (region('brush', {'rle': encode_brush(BLOCK & False)}), 'an empty mask'),
}


@pytest.mark.parametrize('name', BAD)
def test_a_bad_region_is_told_and_can_be_skipped(tmp_path, name):
    bad, found = BAD[name]
    good = region('polygon', POLYGON, 'r2')
    with pytest.raises(UserInputError, match=rf"project\.json task 0 region 'r1': found .*{found}"):
        read(tmp_path, task(bad, good))
    conversion = read(tmp_path, task(bad, good), skip_bad=True)
    assert len(conversion.splits['train']) == 1 and len(conversion.skipped) == 1


@pytest.mark.parametrize(
    'content', ['"x"', '[1]', '{"image": "a.jpg", "label": []}', '[{"data": {}, "annotations": [3]}]']
)
def test_other_json_is_told(tmp_path, content):
    (tmp_path / 'x.json').write_text(content)
    with pytest.raises(UserInputError, match="Label Studio's json"):
        read_label_studio(tmp_path / 'x.json')


def test_a_name_that_leads_out(tmp_path):
    with pytest.raises(UserInputError, match='leads out of'):
        read(tmp_path, task(region('polygon', POLYGON), image='set/../../../etc/a.jpg'))
    with pytest.raises(UserInputError, match='no file_name'):
        read(tmp_path, {**task(region('polygon', POLYGON)), 'data': {'text': 'hello'}})
    assert json.dumps(read(tmp_path, task(region('polygon', POLYGON))).splits)
