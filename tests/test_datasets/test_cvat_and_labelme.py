"""Labelme's and CVAT's shapes, and which of their fields is the expression."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from mmrefseg.datasets.converters import ImportOptions, read_cvat, read_labelme
from mmrefseg.structures.masks import to_bitmap
from mmrefseg.utils import UserInputError, dump_json

HEIGHT, WIDTH = 48, 64
SQUARE = [[10, 10], [60, 10], [60, 40], [10, 40]]


def shape(points=SQUARE, label='cup', **fields) -> dict:
    return {'label': label, 'points': points, 'shape_type': 'polygon', **fields}


def label(folder, *shapes, name='a', image=True, **fields):
    """A json of labelme, beside its image or without one; the folder."""
    folder.mkdir(exist_ok=True, parents=True)
    if image:
        Image.new('RGB', (WIDTH, HEIGHT)).save(folder / f'{name}.jpg')
    content = {'version': '5.4.1', 'flags': {}, 'shapes': list(shapes), 'imagePath': f'{name}.jpg'}
    content |= {'imageData': None, 'imageHeight': HEIGHT, 'imageWidth': WIDTH}
    dump_json({**content, **fields}, folder / f'{name}.json')
    return folder


def records(folder, **options):
    return read_labelme(folder, options=ImportOptions(**options)).splits['train']


def png(values) -> str:
    file = io.BytesIO()
    Image.fromarray(np.asarray(values, np.uint8)).save(file, 'PNG')
    return base64.b64encode(file.getvalue()).decode()


def area(record) -> int:
    return int(to_bitmap(record['mask'], HEIGHT, WIDTH).sum())


def test_every_type_of_shape(tmp_path):
    folder = label(
        tmp_path,
        shape(),
        shape([[30, 24], [30, 34]], shape_type='circle'),
        shape([[20, 30], [22, 31]], shape_type='mask', mask=png([[1, 0, 1], [1, 1, 1]])),
        shape([[10, 5], [30, 25]], shape_type='rectangle'),
        shape([[20, 10], [30, 20], [20, 30], [10, 20]], shape_type='oriented_rectangle'),
        shape([[20, 10], [31, 20], [20, 30], [10, 20]], shape_type='rotation'),
        shape([[1, 1]], shape_type='point'),
        shape([[1, 1], [9, 9]], shape_type='points'),
        shape([[1, 1], [9, 9]], shape_type='line'),
        shape([[1, 1], [9, 9], [1, 9]], shape_type='linestrip'),
    )
    conversion = read_labelme(folder)
    polygon, circle, mask, box, *turned = conversion.splits['train']
    assert area(polygon) == 30 * 50 and abs(area(circle) - np.pi * 100) < 6 and area(mask) == 5
    assert mask['bbox'] == [20, 30, 3, 2]
    assert 'mask' not in box and box['bbox'] == [10, 5, 20, 20]
    assert [each['bbox'] for each in turned] == [[10, 10, 20, 20], [10, 10, 21, 20]]
    assert not any('mask' in each for each in turned)
    said = '\n'.join(conversion.remarks)
    for kind in ('point', 'points', 'line', 'linestrip'):
        assert f'1 x shape without area ({kind}) left out' in said


@pytest.mark.parametrize(
    ('fields', 'options', 'expected'),
    [
        ({'description': 'the left cup\n\n cup with a rim '}, {}, ['the left cup', 'cup with a rim']),
        ({'description': ''}, {}, ['cup']),
        ({'description': 'x'}, {'text_field': 'label'}, ['cup']),
        ({'flags': {'the left cup': True, 'small': False}}, {'text_field': 'flags'}, ['the left cup']),
        ({'flags': {'occluded': True}}, {}, ['cup']),
        ({'description': 'x', 'expression': ['one', 'two']}, {}, ['one', 'two']),
        ({'Caption': 'one', 'caption_2': 'two', 'caption 3': 'one'}, {}, ['one', 'two']),
        ({'note': 'mine', 'description': 'x'}, {'text_field': 'note'}, ['mine']),
    ],
)
def test_which_field_is_the_expression(tmp_path, fields, options, expected):
    (record,) = records(label(tmp_path, shape(**fields)), **options)
    assert record['expressions'] == expected and record['category'] == 'cup'


def test_objects_without_a_sentence(tmp_path):
    label(tmp_path, shape(), shape(description='the big one'))
    conversion = read_labelme(tmp_path)
    assert '1 objects have no sentence of their own; their label is their expression' in conversion.remarks[0]
    assert [each['expressions'] for each in records(tmp_path, without_sentence='skip')] == [['the big one']]
    with pytest.raises(UserInputError, match=r'a\.json shape 0: found no sentence'):
        records(tmp_path, without_sentence='refuse')
    with pytest.raises(UserInputError, match='neither a sentence nor a label'):
        records(label(tmp_path, shape(label='')))


def test_groups_are_objects(tmp_path):
    parts = [shape([[1, 1], [5, 1], [5, 5]], group_id=3), shape(group_id=3, description='both')]
    box = shape([[0, 0], [62, 45]], shape_type='rectangle', group_id=3)
    plate = shape(label='plate', group_id=3)
    first, second = records(label(tmp_path, *parts, box, plate))
    assert len(first['mask']) == 2 and first['bbox'] == [0, 0, 62, 45] and first['expressions'] == ['both']
    assert (first['category_id'], second['category_id']) == (1, 2)


@pytest.mark.parametrize(
    'said',
    ['a.jpg', 'C:\\photos\\a.jpg', '/home/x/a.jpg', '../elsewhere/a.jpg', './a.jpg', 'A.JPG', None, ''],
)
def test_the_image_that_is_meant(tmp_path, said):
    (record,) = records(label(tmp_path, shape(), imagePath=said))
    assert record['file_name'] == 'a.jpg'


def test_images_elsewhere_and_splits(tmp_path):
    label(tmp_path / 'json/train', shape(), image=False)
    label(tmp_path / 'json/val', shape(), name='b', image=False, imagePath='../../img/b.jpg')
    (tmp_path / 'img').mkdir()
    for name in 'ab':
        Image.new('RGB', (WIDTH, HEIGHT)).save(tmp_path / 'img' / f'{name}.jpg')
    splits = read_labelme(tmp_path / 'json', tmp_path / 'img').splits
    assert {split: [each['file_name'] for each in found] for split, found in splits.items()} == {
        'train': ['a.jpg'], 'val': ['b.jpg'],
    }  # fmt: skip
    (tmp_path / 'img/x').mkdir()
    (tmp_path / 'img/x/c.jpg').write_bytes((tmp_path / 'img/a.jpg').read_bytes())
    (tmp_path / 'img/c').mkdir()
    (tmp_path / 'img/c/c.jpg').write_bytes((tmp_path / 'img/a.jpg').read_bytes())
    label(tmp_path / 'json/val', shape(), name='c', image=False)
    with pytest.raises(UserInputError, match=r"the image 'c\.jpg', of which .* has 2"):
        read_labelme(tmp_path / 'json', tmp_path / 'img')


BAD_SHAPES = {
    'text as points': (shape('abc'), 'no list of'),
    'two points': (shape([[1, 1], [2, 2]]), 'polygon 0 of 4 numbers'),
    'NaN': (shape([[1, 1], [2, 2], [float('nan'), 3]]), ''),
    'outside': (shape([[100, 100], [200, 100], [200, 200]]), 'polygon 0 outside the image'),
    'rectangle of one point': (shape([[1, 1]], shape_type='rectangle'), 'a rectangle of 1 points'),
    'another type': (shape(shape_type='cuboid'), "a shape of type 'cuboid'"),
    'mask that is none': (shape([[1, 1], [3, 3]], shape_type='mask', mask='?'), 'a mask that is no base64'),
    'description that is a number': (shape(description=3), 'the sentence 3'),
    'box without area': (shape([[5, 5], [5, 9]], shape_type='rectangle'), 'without area'),
}


@pytest.mark.parametrize('name', BAD_SHAPES)
def test_a_bad_shape_is_told_and_can_be_skipped(tmp_path, name):
    bad, found = BAD_SHAPES[name]
    label(tmp_path, bad, shape())
    with pytest.raises(UserInputError, match=rf'a\.json shape 0: found .*{found}'):
        read_labelme(tmp_path)
    conversion = read_labelme(tmp_path, options=ImportOptions(skip_bad=True))
    assert len(conversion.splits['train']) == 1 and len(conversion.skipped) == 1


def test_bad_folders_and_files(tmp_path):
    with pytest.raises(UserInputError, match='no folder'):
        read_labelme(tmp_path / 'none')
    dump_json({'other': 1}, tmp_path / 'x.json')
    with pytest.raises(UserInputError, match='no json with shapes'):
        read_labelme(tmp_path)
    with pytest.raises(UserInputError, match='an image of 10 x 48 pixels, expected 64 x 48'):
        read_labelme(label(tmp_path, shape(), imageWidth=10))
    (tmp_path / 'a.jpg').unlink()
    with pytest.raises(UserInputError, match='no such image'):
        read_labelme(label(tmp_path, shape(), image=False, imageWidth=None))
    with pytest.raises(UserInputError, match='shapes that are no list'):
        read_labelme(label(tmp_path, image=False, shapes='abc'))


SIZE = '<original_size><width>64</width><height>48</height></original_size>'
META = f'<version>1.1</version><meta><task>{SIZE}</task></meta>'


def cvat(folder, body, **options):
    (folder / 'annotations.xml').write_text(f'<annotations>{META}{body}</annotations>')
    images = options.pop('images', None)
    return read_cvat(folder, images, ImportOptions(**options))


def image(*shapes, name='a.jpg', more='') -> str:
    return f'<image id="0" name="{name}" width="64" height="48" {more}>{"".join(shapes)}</image>'


def drawn(tag, attributes='', **fields) -> str:
    given = ' '.join(f'{key}="{value}"' for key, value in fields.items())
    return f'<{tag} label="cup" occluded="0" z_order="0" {given}>{attributes}</{tag}>'


def attribute(name, value) -> str:
    return f'<attribute name="{name}">{value}</attribute>'


def test_cvats_shapes(tmp_path):
    runs = '1,2,3,2,4'  # 3 x 4 pixels
    text = attribute('Expression', 'the left &lt;cup&gt;') + attribute('expression_2', 'a cup')
    body = image(
        drawn('polygon', text, points='10.00,10.00;60.00,10.00;60.00,40.00;10.00,40.00'),
        drawn('ellipse', cx='30.00', cy='24.00', rx='20.00', ry='5.00', rotation='90'),
        drawn('mask', rle=runs, left='10', top='20', width='4', height='3'),
        drawn('box', xtl='10.00', ytl='5.00', xbr='30.00', ybr='25.00'),
        drawn('box', xtl='10.00', ytl='10.00', xbr='30.00', ybr='30.00', rotation='45.00'),
        drawn('polyline', points='1,1;2,2'),
        '<tag label="indoor"/>',
        more='subset="Train"',
    )
    conversion = cvat(tmp_path, body)
    polygon, ellipse, mask, box, turned = conversion.splits['train']
    assert polygon['expressions'] == ['the left <cup>', 'a cup'] and area(polygon) == 30 * 50
    assert abs(area(ellipse) - np.pi * 100) < 8 and ellipse['bbox'] == pytest.approx([25, 4, 10, 40], abs=0.1)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[20:23, 10:14] = np.array([0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0], bool).reshape(3, 4)
    np.testing.assert_array_equal(to_bitmap(mask['mask'], HEIGHT, WIDTH), expected)
    assert 'mask' not in box and box['bbox'] == [10, 5, 20, 20]
    diagonal = 20 * 2**0.5
    assert turned['bbox'] == pytest.approx([20 - diagonal / 2] * 2 + [diagonal] * 2, abs=0.01)
    said = '\n'.join(conversion.remarks)
    assert (
        'shape without area (polyline)' in said and '(tag)' in said and '4 objects have no sentence' in said
    )


def test_cvats_groups_and_subsets(tmp_path):
    shapes = enumerate((2, 2, 0, 0))
    parts = [drawn('polygon', points=f'1,1;9,1;9,{20 + n}', group_id=group) for n, group in shapes]
    box = drawn('box', attribute('text', 'both'), xtl=0, ytl=0, xbr=60, ybr=40, group_id=2)
    splits = cvat(tmp_path, image(*parts, box, more='subset="val"') + image(parts[0], name='b.jpg')).splits
    together, *alone = splits['val']
    assert len(together['mask']) == 2 and together['bbox'] == [0, 0, 60, 40]
    assert together['expressions'] == ['both'] and len(alone) == 2
    assert [each['file_name'] for each in splits['train']] == ['b.jpg']


def test_cvats_tracks(tmp_path):
    def box(frame, outside):
        fields = dict(frame=frame, outside=outside, keyframe=1, xtl=5, ytl=5, xbr=20, ybr=20)
        return drawn('box', attribute('caption', f'at {frame}'), **fields)

    track = f'<track id="0" label="dog">{box(0, 0)}{box(7, 0)}{box(8, 1)}</track>'
    found = cvat(tmp_path, track).splits['train']
    assert [(each['file_name'], each['expressions'], each['category']) for each in found] == [
        ('frame_000000.png', ['at 0'], 'dog'), ('frame_000007.png', ['at 7'], 'dog'),
    ]  # fmt: skip
    assert (found[0]['height'], found[0]['width']) == (HEIGHT, WIDTH)


BAD_CVAT = {
    'a laugh': ('', 'DOCTYPE', '<!DOCTYPE a [<!ENTITY x "ha">]>'),
    'no number': (image(drawn('box', xtl='x', ytl=1, xbr=2, ybr=3)), "xtl 'x'"),
    'NaN': (image(drawn('box', xtl='nan', ytl=1, xbr=2, ybr=3)), "xtl 'nan'"),
    'half a point': (image(drawn('polygon', points='1,1;2')), "the point '2'"),
    'no points': (image(drawn('polygon')), "the point ''"),
    'runs too short': (
        image(drawn('mask', rle='1,2', left=1, top=1, width=3, height=3)),
        'runs that cover 3 pixels',
    ),
    'a mask outside': (
        image(drawn('mask', rle='4', left=63, top=1, width=2, height=2)),
        'a mask of 2 x 2 pixels at',
    ),
    'runs of terabytes': (
        image(drawn('mask', rle='9' * 17, left=1, top=1, width=2, height=2)),
        'runs that cover',
    ),
    'no size': ('<image id="0" name="a.jpg"/>', 'no height and width'),
    'a name that leads out': (
        image(drawn('box', xtl=1, ytl=1, xbr=9, ybr=9), name='a/../../../b.jpg'),
        'leads out',
    ),
    'nothing': ('', 'no records'),
}


@pytest.mark.parametrize('name', BAD_CVAT)
def test_bad_xml_of_cvat(tmp_path, name):
    body, found, *before = BAD_CVAT[name]
    path = tmp_path / 'annotations.xml'
    path.write_text(f'{"".join(before)}<annotations>{body}</annotations>')
    with pytest.raises(UserInputError, match=found):
        read_cvat(path)
    path.write_text('<other/>')
    with pytest.raises(UserInputError, match='xml that begins with <other>'):
        read_cvat(path)


def test_cvats_images_are_checked(tmp_path):
    Image.new('RGB', (WIDTH, HEIGHT)).save(tmp_path / 'a.jpg')
    good = image(drawn('box', xtl=1, ytl=1, xbr=9, ybr=9))
    assert cvat(tmp_path, good, images=tmp_path).splits['train'][0]['file_name'] == 'a.jpg'
    with pytest.raises(UserInputError, match=r'expected 64 x 48 as a\.jpg has'):
        cvat(tmp_path, good.replace('width="64"', 'width="65"'), images=tmp_path)
    with pytest.raises(UserInputError, match='--images: found no folder'):
        cvat(tmp_path, good, images=tmp_path / 'none')
    assert json.dumps(cvat(tmp_path, good, images=tmp_path).splits)
