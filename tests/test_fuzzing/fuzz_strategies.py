"""What strangers' files may hold: values of every kind, and sound records with a few fields changed."""

import json
import pickle
from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

# The images that the targets lay out are of this size.
HEIGHT, WIDTH = 48, 64
POLYGON = [5, 5, 25, 5, 25, 25]

# A blank, line ends of Unicode, NUL, half a surrogate pair, markup, paths, numbers, names that no disk takes.
_TEXTS = (
    '',
    ' ',
    '\u2028',
    '\x85x',
    'a\x00b',
    '\ud800',
    '🙂',
    'א',
    '[/b]',
    '$\\frac$',
    '../x',
    '/etc/passwd',
)
_MORE_TEXTS = (
    'nan',
    '1',
    '1e5',
    'a' * 300,
    'a' * 5000,
    '{}',
    '{0.x}',
    '.',
    'a.png',
    '=1+1',
    '<b>',
    '%s',
    'a\nb',
)
texts = st.one_of(st.text(max_size=12), st.sampled_from(_TEXTS + _MORE_TEXTS))
# The limits of 16, 32 and 64 bits and beyond, of floats, of json.
_WHOLE = (0, -1, 10**30, 10**400, 2**16, 2**31, 2**32, 2**62, 2**63, 2**64, -(2**63), True, False)
_REAL = (0.5, 3.0, 1e9, 1e300, 1e-320, float('nan'), float('inf'), float('-inf'))
numbers = st.one_of(st.integers(-10, 100), st.integers(), st.floats(), st.sampled_from(_WHOLE + _REAL))
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=6), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)


def mostly(likely: st.SearchStrategy, rare: st.SearchStrategy = values) -> st.SearchStrategy:
    """One strategy three times out of four, another else. (``one_of`` would share evenly with all within.)"""
    return st.integers(0, 3).flatmap(lambda number: likely if number else rare)


coordinates = st.one_of(st.integers(-5, 70), st.floats(-5, 70), numbers)


@st.composite
def near(draw, sound: Sequence, others: st.SearchStrategy) -> list:
    """A list with up to two entries drawn, and perhaps one more or one less."""
    changed_list = list(draw(st.sampled_from(sound)))
    for _ in range(draw(st.integers(0, 2))):
        if changed_list:
            changed_list[draw(st.integers(0, len(changed_list) - 1))] = draw(others)
    more = draw(st.integers(0, 7))
    if more == 0 and changed_list:
        changed_list.pop()
    if more == 1:
        changed_list.append(draw(others))
    return changed_list


_POLYGONS = (POLYGON, [-30, -9, 90.5, 2, 70, 80, 3, 47], [0.5, 0.5, 60, 0.5, 60, 40, 10, 20, 0.5, 40])
polygons = st.lists(
    mostly(
        near(_POLYGONS, coordinates),
        st.one_of(
            near(_POLYGONS, st.integers(-200_000, 200_000)),
            st.lists(coordinates, max_size=12),
            st.lists(st.tuples(coordinates, coordinates).map(list), max_size=4),
        ),
    ),
    max_size=3,
)
_RUNS = ([100, 20, HEIGHT * WIDTH - 120], [0, HEIGHT * WIDTH], [HEIGHT * WIDTH], [7, 9, 3000, 1, 55])
_COMPRESSED = tuple(
    coco_mask.frPyObjects({'size': [HEIGHT, WIDTH], 'counts': runs}, HEIGHT, WIDTH)['counts'].decode()
    for runs in _RUNS
)
counts = mostly(
    st.one_of(
        st.sampled_from(_COMPRESSED),
        near(_RUNS, st.integers(-3, 4000)),
        near(_RUNS, numbers),
        near(_COMPRESSED, st.sampled_from([chr(code) for code in range(46, 115)])).map(''.join),
    )
)
rles = st.fixed_dictionaries(
    {
        'size': mostly(st.just([HEIGHT, WIDTH]), st.one_of(near([[HEIGHT, WIDTH]], numbers), values)),
        'counts': counts,
    }
)
masks = mostly(st.one_of(polygons, polygons, rles))
boxes = mostly(near([[5, 5, 20, 20], [-9, 0.5, 100, 300]], coordinates))
sentences = mostly(st.lists(texts, max_size=3))
ids = mostly(st.integers(0, 9))


@st.composite
def changed(draw, good: Mapping, fields: Mapping) -> dict:
    """A copy of a sound record, of which up to three fields are drawn or missing."""
    record = json.loads(json.dumps(good))
    for key in draw(st.lists(st.sampled_from(sorted(fields)), max_size=3, unique=True)):
        if draw(st.integers(0, 7)):
            record[key] = draw(fields[key])
        else:
            record.pop(key, None)
    return record


RECORD = {
    'image_id': 1,
    'height': HEIGHT,
    'width': WIDTH,
    'bbox': [5, 5, 20, 20],
    'mask': [POLYGON],
    'expressions': ['the left cup'],
    'category_id': 3,
    'ref_id': 3,
    'sent_ids': [7],
    'file_name': 'a.png',
}
records = changed(
    RECORD,
    {
        **dict.fromkeys(('image_id', 'category_id', 'ref_id', 'sent_ids', 'ann_id'), ids),
        **dict.fromkeys(('file_name', 'data_source', 'no_target', 'mask_points', 'kinds', 'zzz'), values),
        'height': numbers,
        'width': numbers,
        'bbox': boxes,
        'mask': masks,
        'expressions': sentences,
    },
)
files_of_splits = mostly(
    st.fixed_dictionaries(
        {'train': st.lists(mostly(records), min_size=1, max_size=2)}, optional={'val': values}
    ),
    st.one_of(values, st.dictionaries(st.sampled_from(['train', 'val', 'images', 'annotations']), values)),
)

LINE = {
    'image': 'a.png',
    'expression': 'cup',
    'bbox': [1, 2, 10, 10],
    'mask': [POLYGON],
    'split': 'train',
}
line_records = changed(
    LINE,
    {
        **dict.fromkeys(('image', 'expression', 'split', 'height', 'width'), values),
        **dict.fromkeys(('category_id', 'ref_id', 'image_id', 'zzz'), values),
        'expressions': sentences,
        'bbox': boxes,
        'mask': st.one_of(masks, st.sampled_from(['m.png', 'a.png', 'none.png', '.'])),
    },
)

IMAGE = {'id': 1, 'height': HEIGHT, 'width': WIDTH, 'file_name': 'a.png'}
ANNOTATION = {
    'id': 2,
    'image_id': 1,
    'bbox': [5, 5, 20, 20],
    'segmentation': [POLYGON],
    'category_id': 3,
    'area': 200,
    'iscrowd': 0,
}
CATEGORY = {'id': 3, 'name': 'cup'}
COCO = {'images': [IMAGE], 'annotations': [ANNOTATION], 'categories': [CATEGORY]}
SENTENCE = {'sent': 'cup', 'raw': 'Cup', 'sent_id': 7, 'tokens': ['cup']}
REF = {
    'ref_id': 3,
    'ann_id': 2,
    'image_id': 1,
    'split': 'train',
    'category_id': 3,
    'sentences': [SENTENCE],
    'sent_ids': [7],
}
images = changed(IMAGE, {'id': ids, 'height': numbers, 'width': numbers, 'file_name': values})
annotations = changed(
    ANNOTATION,
    {
        'id': ids,
        'image_id': ids,
        'bbox': boxes,
        'category_id': ids,
        'area': numbers,
        'iscrowd': values,
        'segmentation': st.one_of(masks, st.lists(rles, max_size=2), st.lists(st.one_of(rles, polygons))),
    },
)
categories = changed(CATEGORY, {'id': ids, 'name': values})
refs = changed(
    REF,
    {
        **dict.fromkeys(('ref_id', 'image_id', 'split', 'category_id', 'no_target', 'bbox'), values),
        'ann_id': st.one_of(ids, st.lists(st.one_of(st.just(2), ids), max_size=3)),
        'sentences': st.one_of(
            values, st.lists(st.one_of(values, changed(SENTENCE, dict.fromkeys(SENTENCE, values))))
        ),
    },
)


@st.composite
def coco_files(draw) -> dict:
    """COCO's instances with one image, annotation or category changed, or one of the lists."""
    data = json.loads(json.dumps(COCO))
    which = draw(st.sampled_from(['images', 'annotations', 'annotations', 'categories', 'root']))
    if which == 'root':
        data[draw(st.sampled_from(sorted(COCO)))] = draw(values)
    else:
        one = {'images': images, 'annotations': annotations, 'categories': categories}[which]
        data[which] = draw(st.lists(mostly(one), min_size=1, max_size=2))
    return data


refer_files = st.tuples(
    st.one_of(coco_files(), st.just(COCO)),
    mostly(st.one_of(st.just([REF]), st.lists(refs, min_size=1, max_size=2))),
)

SIMREC = {'iid': 1, 'bbox': [1, 2, 10, 10], 'cat_id': 3, 'refs': ['cup'], 'mask_id': 4}
simrec_files = mostly(
    st.fixed_dictionaries(
        {
            'val': st.lists(
                changed(
                    SIMREC,
                    {'iid': ids, 'bbox': boxes, 'cat_id': ids, 'refs': sentences, 'mask_id': ids},
                ),
                min_size=1,
                max_size=2,
            )
        }
    )
)

SHAPE = {'label': 'target', 'points': [[5, 5], [25, 5], [25, 25]]}
shapes = changed(
    SHAPE,
    {
        'label': mostly(st.sampled_from(['target', 'ignore', 'TARGET'])),
        'points': mostly(st.lists(mostly(near([[5, 30]], coordinates)), max_size=4)),
        'shape_type': mostly(
            st.sampled_from(['polygon', 'rectangle', 'circle', 'line', 'point', 'points', 'linestrip'])
        ),
    },
)
labelme_files = mostly(
    changed(
        {'shapes': [SHAPE], 'text': ['what cuts?'], 'is_sentence': True},
        {
            'shapes': mostly(st.lists(mostly(shapes), max_size=3)),
            'text': sentences,
            'is_sentence': values,
        },
    ),
)

PREDICTION = {
    'ref_id': 3,
    'sent_id': 7,
    'bbox': [1, 2, 3, 4],
    'score': 0.5,
    'segmentation': {'size': [HEIGHT, WIDTH], 'counts': [100, 20, HEIGHT * WIDTH - 120]},
}
predictions = changed(
    PREDICTION,
    {
        **dict.fromkeys(('ref_id', 'sent_id', 'score', 'expression', 'points', 'checkpoint'), values),
        'segmentation': masks,
        'bbox': boxes,
        'checkpoint_sha256': values,
    },
)
prediction_files = mostly(st.lists(mostly(predictions), max_size=2))

RESULT = {
    'image_id': 1,
    'category_id': 3,
    'score': 0.5,
    'bbox': [1, 2, 3, 4],
    'segmentation': {'size': [HEIGHT, WIDTH], 'counts': _COMPRESSED[0]},
}
results = changed(
    RESULT,
    {
        'image_id': ids,
        'category_id': ids,
        'score': values,
        'bbox': boxes,
        'segmentation': masks,
    },
)

csv_rows = st.one_of(
    st.text(max_size=40).map(lambda text: text.encode('utf-8', 'surrogatepass')),
    st.binary(max_size=40),
    st.tuples(scalars, scalars, scalars, texts, st.one_of(boxes, values)).map(
        lambda row: ','.join([*map(str, row[:4]), '"' + json.dumps(row[4]).replace('"', '""') + '"']).encode(
            'utf-8', 'surrogatepass'
        )
    ),
    boxes.map(lambda box: f'3,1,7,cup,"{json.dumps(box)}"'.encode()),
)

small_rles = st.tuples(
    st.one_of(
        near([[3, 5, 4], [0, 12], [1, 1, 1, 1, 8]], st.integers(-3, 12)),
        st.lists(st.integers(-3, 40), max_size=8),
        st.text(alphabet=[chr(code) for code in range(46, 115)], max_size=12),
        st.sampled_from(['324', '0<', '13205O', '<']),
        st.binary(max_size=8),
        counts,
    ),
    mostly(
        st.sampled_from([(1, 12), (2, 6), (3, 4), (12, 1)]), st.tuples(st.integers(1, 9), st.integers(1, 9))
    ),
)

vocabularies = st.one_of(
    values,
    st.dictionaries(texts, st.integers(0, 3), max_size=3),
    changed(
        {'words': ['PAD', 'UNK', 'CLS', 'cup'], 'tokenizer': 'simple', 'max_tokens': 15},
        {'words': values, 'tokenizer': values, 'max_tokens': values},
    ),
)

_PLAIN = [[REF], [np.arange(3), np.float32(2), {'a': b'x'}], [{1, 2}, {'a': ('b', 2**70, 1.5)}]]
PICKLES = [pickle.dumps(data, protocol) for data in _PLAIN for protocol in range(6)]


def bent(originals: list[bytes]) -> st.SearchStrategy[bytes]:
    """One of some files with up to four bytes changed, and perhaps cut off."""

    @st.composite
    def draw_bent(draw) -> bytes:
        data = bytearray(draw(st.sampled_from(originals)))
        for _ in range(draw(st.integers(0, 4))):
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
        return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)

    return draw_bent()


# Text of json that no writer of json makes: cut off, bytes that are no UTF-8, another encoding, marks, many
# digits, deep nesting.
JSON_TEXTS = [
    json.dumps({'train': [RECORD]}).encode(),
    json.dumps(LINE).encode(),
    json.dumps([PREDICTION]).encode(),
    b'\xef\xbb\xbf' + json.dumps(LINE).encode(),
    json.dumps({'train': [RECORD]}).encode('utf-16'),
    b'{"train": ' + b'9' * 5000 + b'}',
    b'[' * 100_000,
    b'{"a":' * 50_000 + b'1' + b'}' * 50_000,
    b'[' * 50_000 + b']' * 50_000,
]
json_bytes = st.one_of(st.binary(max_size=60), bent(JSON_TEXTS[:4]), st.sampled_from(JSON_TEXTS))
