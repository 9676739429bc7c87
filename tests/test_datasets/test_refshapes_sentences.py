"""Every sentence is true of exactly one object, as a reader understands it.

The reader below shares no code with the generator: it parses the text with
its own grammar and looks at what is annotated (masks, boxes, attributes, depth).
It reads twice, with narrow and with wide notions of "left of", "next to",
"large" and so on; both must find the same single object, the annotated one.
"""

import re
from collections import Counter
from itertools import product

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from scipy.ndimage import binary_dilation, distance_transform_edt

from mmrefseg.datasets.refshapes import PRESETS, make_image
from mmrefseg.datasets.refshapes.expressions import VOCABULARY
from mmrefseg.datasets.refshapes.shapes import CLASSES

SCENES = 160
SAME_PAIRS = (
    'disc=circle box=square hoop=ring plus=cross crescent=moon object=shape thing=shape big=large '
    'little=small violet=purple solid=plain spotted=dotted biggest=largest center=middle '
    'nearest=closest topmost=highest'
)
SAME = dict(pair.split('=') for pair in SAME_PAIRS.split())
SAME |= {'beside': 'next to', 'with stripes': 'striped', 'with dots': 'dotted'}
NOUNS = {*CLASSES, 'shape'}
ADJECTIVES = {
    'color': ('red', 'orange', 'yellow', 'green', 'blue', 'purple', 'white', 'black'),
    'texture': ('plain', 'striped', 'dotted', 'checkered'),
    'size': ('small', 'large'),
}
KEY_OF = {word: key for key, words in ADJECTIVES.items() for word in words}
OPPOSITES = {'left': 'right', 'above': 'below', 'behind': 'in front of', 'largest': 'smallest'}
OPPOSITES |= {'first': 'third'}
ENDS = {'leftmost': ('x', 1), 'rightmost': ('x', -1), 'highest': ('y', 1), 'lowest': ('y', -1)}
SIDES = {'left': ('x', 1), 'right': ('x', -1), 'top': ('y', 1), 'bottom': ('y', -1)}
NUMBERS = {'first': 1, 'second': 2, 'third': 3}
WHERE = r'(?:(?:top|bottom)(?: (?:left|right))?|left|right|middle)'


class Reader:
    """Understands sentences about one image; ``wide`` is the laxer of two notions of each word."""

    def __init__(self, image, wide):
        self.wide, self.side, self.items = wide, image['width'], []
        for number, item in enumerate(image['objects']):
            mask = decode(item['segmentation'], image)
            rows, columns = np.nonzero(mask)
            x, y = (columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2
            extent = max(np.ptp(columns), np.ptp(rows)) + 1
            facts = {'x': x / self.side, 'y': y / self.side, 'extent': extent, 'mask': mask, 'number': number}
            self.items.append({**item['attributes'], **facts})

    def find(self, text):
        """The numbers of all objects that the sentence is true of."""
        text = re.sub(r'\bthe |\bthat is ', '', text)
        for word, plain in SAME.items():
            text = re.sub(rf'\b{word}\b', plain, text)
        return [item['number'] for item in self.read(text)]

    def read(self, text):
        if match := re.fullmatch(r'(.+) between (.+) and (.+)', text):
            head, *ends = match.groups()
            a, b = (self.only(end) for end in ends)
            return [item for item in self.read(head) if item not in (a, b) and self.between(item, a, b)]
        how = r'(?:to )?(left|right) of|(above|below|next to|behind|in front of|closest to)'
        if match := re.fullmatch(rf'(.+?) (?:{how}) (.+)', text):
            head, mark = self.read(match[1]), self.only(match[4])
            return self.related(match[2] or match[3], [item for item in head if item is not mark], mark)
        if match := re.fullmatch(r'(first|second|third) (.+) from (\w+)', text):
            return self.in_order(self.read(match[2]), SIDES[match[3]])[NUMBERS[match[1]] - 1 :][:1]
        if match := re.fullmatch(r'(leftmost|rightmost|highest|lowest) (.+)', text):
            return self.in_order(self.read(match[2]), ENDS[match[1]])[:1]
        if match := re.fullmatch(r'(largest|smallest) (.+)', text):
            sign = -1 if match[1] == 'largest' else 1
            return sorted(self.read(match[2]), key=lambda item: sign * item['extent'])[:1]
        after = rf'(.+?) (?:(?:on|in|at) )?({WHERE})(?: side| corner)?'
        if match := re.fullmatch(after, text):
            return [item for item in self.read(match[1]) if self.lies(item, match[2])]
        if match := re.fullmatch(rf'({WHERE}) (.+)', text):
            return [item for item in self.read(match[2]) if self.lies(item, match[1])]
        return self.noun_phrase(text.split())

    def only(self, text):
        found = self.read(text)
        assert len(found) == 1, f'landmark {text!r} stands for {len(found)} objects'
        return found[0]

    def noun_phrase(self, words):
        (noun,) = [word for word in words if word in NOUNS]
        found = [item for item in self.items if noun in ('shape', item['class'])]
        for word in words:
            if word != noun:
                lax = ('medium',) if self.wide and KEY_OF[word] == 'size' else ()
                found = [item for item in found if item[KEY_OF[word]] in (word, *lax)]
        return found

    def in_order(self, found, way):
        return sorted(found, key=lambda item: way[1] * item[way[0]])

    def lies(self, item, where):
        if where == 'middle':
            return max(abs(item['x'] - 0.5), abs(item['y'] - 0.5)) < (0.21 if self.wide else 0.14)
        distances = [item[a] if sign > 0 else 1 - item[a] for a, sign in (SIDES[w] for w in where.split())]
        return max(distances) < (0.51 if self.wide else 0.42)

    def related(self, how, found, mark):
        if how == 'closest to':
            measure = self.gap if self.wide else self.distance
            return sorted(found, key=lambda item: measure(item, mark))[:1]
        tests = {'next to': self.beside, 'behind': self.behind, 'in front of': lambda a, b: self.behind(b, a)}
        return [
            item for item in found if (tests[how](item, mark) if how in tests else self.way(how, item, mark))
        ]

    def way(self, how, item, mark):
        right, down = item['x'] - mark['x'], item['y'] - mark['y']
        along, across = {
            'left': (-right, down),
            'right': (right, down),
            'above': (-down, right),
            'below': (down, right),
        }[how]
        return along > 0 if self.wide else along > abs(across)

    def beside(self, item, mark):
        return self.gap(item, mark) < (0.19 if self.wide else 0.1) * self.side

    def behind(self, item, mark):
        """Farther back, and its visible part meets the other's."""
        reach = binary_dilation(item['mask'], iterations=2 if self.wide else 1)
        return item['depth'] < mark['depth'] and bool((reach & mark['mask']).any())

    def between(self, item, a, b):
        start, way = np.array([a['x'], a['y']]), np.array([b['x'] - a['x'], b['y'] - a['y']])
        step = np.array([item['x'], item['y']]) - start
        along = step @ way / (way @ way)
        across = np.linalg.norm(step - along * way) / np.linalg.norm(way)
        low, limit = (0.12, 0.38) if self.wide else (0.25, 0.15)
        return low < along < 1 - low and across < limit

    def distance(self, item, mark):
        return np.hypot(item['x'] - mark['x'], item['y'] - mark['y'])

    def gap(self, item, mark):
        return distance_transform_edt(~item['mask'])[mark['mask']].min()


def decode(segmentation, image):
    if isinstance(segmentation, list):
        parts = coco_mask.frPyObjects(segmentation, image['height'], image['width'])
        return coco_mask.decode(coco_mask.merge(parts)) > 0
    return coco_mask.decode(segmentation) > 0


@pytest.fixture(scope='module')
def images():
    preset = PRESETS['small']
    return {s: [make_image(0, s, i, preset)[1] for i in range(SCENES)] for s in ('train', 'testB')}


def sentences(images):
    for image in images:
        for number, item in enumerate(image['objects']):
            for text, kind in zip(item['expressions'], item['kinds'], strict=True):
                yield image, number, text, kind


@pytest.mark.parametrize(('split', 'wide'), product(('train', 'testB'), (False, True)))
def test_every_sentence_means_one_object(images, split, wide):
    readers, checked, wrong = {}, 0, []
    for image, number, text, _ in sentences(images[split]):
        name = image['file_name']
        reader = readers[name] if name in readers else readers.setdefault(name, Reader(image, wide))
        found = reader.find(text)
        checked += 1
        if found != [number]:
            wrong.append((name, text, f'expected {number}, read {found}'))
    assert checked > 1200
    assert not wrong, f'{len(wrong)} of {checked}: {wrong[:5]}'


def test_the_reader_tells_opposites_apart(images):
    """Exchange left for right and so on: the sentence must no longer mean the same object."""
    tried, kept = 0, []
    for image, number, text, kind in sentences(images['testB'][:80]):
        # the second of three is the second from either side
        if kind == 'attributes' or re.search(r'\b(second|third)\b', text):
            continue
        for word, opposite in OPPOSITES.items():
            swapped = re.sub(rf'\b{word}\b', opposite, text)
            if swapped != text:
                tried += 1
                if Reader(image, wide=True).find(swapped) == [number]:
                    kept.append((image['file_name'], swapped))
    assert tried > 200
    assert not kept


def test_vocabulary_is_what_is_said(images):
    words = Counter(w for split in images.values() for *_, text, _ in sentences(split) for w in text.split())
    assert set(words) == set(VOCABULARY)
    assert 60 <= len(VOCABULARY) <= 90


def test_lengths_and_numbers_of_sentences(images):
    lengths, counts = Counter(), Counter()
    for split in images.values():
        lengths.update(len(text.split()) for *_, text, _ in sentences(split))
        counts.update(len(item['expressions']) for image in split for item in image['objects'])
        for image in split:
            assert all(len(set(i['expressions'])) == len(i['expressions']) for i in image['objects'])
    assert min(lengths) == 1 and 12 <= max(lengths) <= 14
    assert {1, 2, 3, 4} <= set(counts) <= {0, 1, 2, 3, 4}
    assert counts[0] < 0.02 * sum(counts.values())


def test_mixture_comes_near_to_the_preset(images):
    for split, slack in (('train', 0.05), ('testB', 0.08)):
        kinds = Counter(kind for *_, kind in sentences(images[split]))
        for kind, wanted in PRESETS['small'].splits[split].mixture.items():
            assert abs(kinds[kind] / sum(kinds.values()) - wanted) < slack, (split, kind)


def test_same_class_distractors_make_the_class_insufficient(images):
    for split, least in (('train', 0.35), ('testB', 0.65)):
        shared = total = 0
        for image in images[split]:
            classes = Counter(item['category_id'] for item in image['objects'])
            total += len(image['objects'])
            shared += sum(count for count in classes.values() if count > 1)
        assert shared / total > least
