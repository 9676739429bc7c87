"""A hundred real pictures: do published weights tell which of an image's boxes a sentence means?

Kernel ridge regression on pairs of boxes, in closed form, with whole images left out: what it can learn from
so few sentences is what its features bring along. The score of a box is bilinear in its features and those of
the sentence, and of two boxes of an image the one that is meant shall score higher by one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..utils import UserInputError, atomic_write, dump_json, load_json
from .real_weights import EFFICIENTNET_LITE0, MINILM, find_weights

FOLDS = 5
RIDGE = 1.0  # times the kernel's mean diagonal
BIAS = 0.2  # what a sentence's kernel has in common with every other: some boxes are said more often
SIDE = 384  # pixels of an image's longer side
IMAGES = {'imagenet': 'ImageNet', 'random': 'random weights', 'none': 'place and size alone'}
TEXTS = {'minilm': 'all-MiniLM-L6-v2', 'words': 'bag of words', 'both': 'both'}


@dataclass(frozen=True)
class Referred:
    """An object with its sentences.

    Attributes:
        image_id: Of its image.
        box: x, y, w, h in pixels.
        sentences: What is said of it.
    """

    image_id: int
    box: tuple[float, float, float, float]
    sentences: tuple[str, ...]


def read_referred(folder: Path, dataset: str = 'refcoco', by: str = 'unc') -> list[Referred]:
    """The referred objects of ``mini_refcoco``, those with a box alone among them.

    Args:
        folder: With ``<dataset>/seqtr_instances.json`` and ``<dataset>/refs(<by>)_boxonly.json``.
        dataset: Which.
        by: Whose splits.

    Raises:
        UserInputError: If a file is missing.
    """
    objects: dict[int, Referred] = {}
    for records in load_json(folder / dataset / 'seqtr_instances.json').values():
        for record in records:
            known = objects.get(record['ref_id'])
            said = (*(known.sentences if known else ()), *record['expressions'])
            objects[record['ref_id']] = Referred(record['image_id'], tuple(record['bbox']), said)
    for ref in load_json(folder / dataset / f'refs({by})_boxonly.json'):
        said = tuple(sentence['sent'] for sentence in ref['sentences'])
        objects.setdefault(ref['ref_id'], Referred(ref['image_id'], tuple(ref['bbox']), said))
    return [objects[ref_id] for ref_id in sorted(objects)]


def box_features(objects: Sequence[Referred], folder: Path, state: Mapping | None) -> np.ndarray:
    """What EfficientNet-Lite0 sees in each box: the mean of its maps of strides 16 and 32 there, (N, 432).

    Args:
        objects: Their boxes.
        folder: With ``images/COCO_train2014_*.jpg``.
        state: The backbone's weights; ``None`` are random ones, of seed 0.
    """
    import torch
    from mmdet.registry import MODELS

    torch.manual_seed(0)
    backbone = MODELS.build(dict(type='EfficientNetLite', out_indices=(4, 5)))
    backbone.init_weights()
    if state is not None:
        backbone.load_state_dict({key: state[key] for key in backbone.state_dict()})
    backbone.eval()
    features = np.zeros((len(objects), 112 + 320), np.float32)
    for image_id in sorted({item.image_id for item in objects}):
        pixels, scale = _read_image(folder / 'images' / f'COCO_train2014_{image_id:012d}.jpg')
        with torch.no_grad():
            maps = backbone(torch.from_numpy(pixels)[None])
        for row, item in enumerate(objects):
            if item.image_id == image_id:
                features[row] = np.concatenate([_mean_inside(x[0].numpy(), item.box, scale) for x in maps])
    return features


def _read_image(path: Path) -> tuple[np.ndarray, float]:
    """Normalised RGB (3, H, W) with sides that divide by 32, and pixels of it per pixel of the file."""
    import cv2

    from ..models.backbones.efficientnet_lite import PIXEL_MEAN, PIXEL_STD

    image = cv2.imread(str(path))
    if image is None:
        raise UserInputError.of(str(path), 'no readable image', 'a picture of mini_refcoco', 'check --data')
    scale = SIDE / max(image.shape[:2])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[..., ::-1]
    image = (image.astype(np.float32) - PIXEL_MEAN) / PIXEL_STD
    padding = [(0, -side % 32) for side in image.shape[:2]]
    return np.pad(image, [*padding, (0, 0)]).transpose(2, 0, 1).copy(), scale


def _mean_inside(x: np.ndarray, box: Sequence[float], scale: float) -> np.ndarray:
    """Mean of a map (C, h, w) over the cells that a box touches."""
    stride = SIDE / max(x.shape[1:])
    left, top, width, height = (value * scale / stride for value in box)
    columns = slice(min(int(left), x.shape[2] - 1), max(int(np.ceil(left + width)), int(left) + 1))
    rows = slice(min(int(top), x.shape[1] - 1), max(int(np.ceil(top + height)), int(top) + 1))
    return x[:, rows, columns].mean((1, 2))


def place_features(objects: Sequence[Referred]) -> np.ndarray:
    """Centre and size (N, 4), standardised, in units of the outermost boxes of each image."""
    boxes = np.array([item.box for item in objects])
    images = np.array([item.image_id for item in objects])
    ends = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
    extent = np.array([ends[images == image].max() for image in images])[:, None]
    x = np.concatenate([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]], 1) / extent
    return (x - x.mean(0)) / x.std(0)


def text_features(sentences: Sequence[str], kind: str, weights: Path | None = None) -> np.ndarray:
    """Sentences -> unit vectors (M, D): MiniLM's, or a bag of words (each by the root of its rarity).

    Args:
        sentences: M of them.
        kind: A key of :data:`TEXTS`; of both, one beside the other.
        weights: See :func:`find_weights`.
    """
    if kind == 'both':
        parts = [text_features(sentences, each, weights) for each in ('minilm', 'words')]
        return np.concatenate(parts, 1) / np.sqrt(2)
    if kind == 'words':
        from ..datasets.vocabulary import clean_expression

        split = [set(clean_expression(text).split()) for text in sentences]
        words = {word: place for place, word in enumerate(sorted(set().union(*split)))}
        vectors = np.zeros((len(split), len(words)))
        for row, found in zip(vectors, split, strict=True):
            row[[words[word] for word in found]] = 1
        vectors *= np.sqrt(np.log(len(split) / vectors.sum(0)))
    else:
        import torch
        from mmdet.registry import MODELS

        model = str(find_weights(MINILM, weights))
        encoder = MODELS.build(dict(type='HFTextEncoder', model=model, output='sentence', frozen=True))
        encoder.init_weights()
        encoder.eval()
        with torch.no_grad():
            vectors = encoder(encoder.tokenize(list(sentences))).numpy().astype(np.float64)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


@dataclass
class Choices:
    """Sentences and the boxes that each may mean.

    Attributes:
        sentences: M texts.
        meant: (M,) index of the object of each.
        others: For each, the indices of the other objects of its image; never empty.
        fold: (M,) which fold its image belongs to.
    """

    sentences: list[str]
    meant: np.ndarray
    others: list[np.ndarray]
    fold: np.ndarray


def make_choices(objects: Sequence[Referred], seed: int = 0) -> Choices:
    """All sentences of images with more than one object; images are dealt to folds by chance."""
    images = np.array([item.image_id for item in objects])
    deal = np.random.default_rng(seed).permutation(np.unique(images))
    folds = {image: place % FOLDS for place, image in enumerate(deal)}
    sentences, meant, others, fold = [], [], [], []
    for row, item in enumerate(objects):
        rest = np.flatnonzero((images == item.image_id) & (np.arange(len(images)) != row))
        for text in item.sentences if len(rest) else ():
            sentences.append(text)
            meant.append(row)
            others.append(rest)
            fold.append(folds[item.image_id])
    return Choices(sentences, np.array(meant), others, np.array(fold))


def accuracy_by_fold(choices: Choices, boxes: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Percent of the sentences of each fold whose box is chosen, learned from the other folds, (FOLDS,).

    Args:
        choices: The sentences.
        boxes: (N, D) features of objects, of comparable size.
        text: (M, E) unit vectors of the sentences.
    """
    pairs = [(s, j) for s, rest in enumerate(choices.others) for j in rest]
    sentence, other = (np.array(column) for column in zip(*pairs, strict=True))
    difference = boxes[choices.meant[sentence]] - boxes[other]
    kernel = (difference @ difference.T) * ((text @ text.T)[np.ix_(sentence, sentence)] + BIAS)
    found = []
    for fold in range(FOLDS):
        here = choices.fold[sentence] == fold
        known = kernel[np.ix_(~here, ~here)]
        known = known + RIDGE * np.trace(known) / len(known) * np.eye(len(known))
        margin = kernel[np.ix_(here, ~here)] @ np.linalg.solve(known, np.ones(len(known)))
        right = [margin[sentence[here] == s].min() > 0 for s in np.unique(sentence[here])]
        found.append(100 * np.mean(right))
    return np.array(found)


def combinations(folder: Path, weights: Path | None = None) -> Iterator[dict]:
    """Every kind of image features with every kind of text features: rows of the table.

    Args:
        folder: ``mini_refcoco``.
        weights: See :func:`find_weights`.

    Raises:
        UserInputError: If data or weights are missing.
    """
    from ..checkpoints.from_efficientnet import convert_efficientnet_lite, read_efficientnet_lite

    source = find_weights(EFFICIENTNET_LITE0, weights) / next(iter(EFFICIENTNET_LITE0.files))
    objects = read_referred(folder)
    choices = make_choices(objects)
    place = place_features(objects) / 2
    texts = {kind: text_features(choices.sentences, kind, weights) for kind in TEXTS}
    state = convert_efficientnet_lite(read_efficientnet_lite(source)).state
    chance = 100 * np.mean([1 / (1 + len(rest)) for rest in choices.others])
    for image in IMAGES:
        boxes = place
        if image != 'none':
            seen = box_features(objects, folder, state if image == 'imagenet' else None)
            seen = (seen - seen.mean(0)) / (seen.std(0) + 1e-6) / np.sqrt(seen.shape[1])
            boxes = np.concatenate([place, seen], 1)
        for text in TEXTS:
            folds = accuracy_by_fold(choices, boxes, texts[text])
            yield {
                'image': image,
                'text': text,
                'sentences': len(choices.sentences),
                'chance': round(float(chance), 1),
                'folds': [round(float(value), 1) for value in folds],
            }


def write_few_images(folder: Path, out: Path, weights: Path | None = None) -> str:
    """Write ``few_images.json`` and ``few_images.md``; returns the table."""
    rows = list(combinations(folder, weights))
    dump_json({'rows': rows}, out / 'few_images.json', indent=2)
    text = few_images_table(rows)
    with atomic_write(out / 'few_images.md') as file:
        file.write(text)
    return text


def few_images_table(rows: Sequence[Mapping]) -> str:
    """Markdown: accuracy of each combination, mean and deviation over the folds.

    Args:
        rows: As :func:`combinations` gives them.
    """
    lines = [f'| boxes by | {" | ".join(TEXTS.values())} |', '|---' * (1 + len(TEXTS)) + '|']
    cells = {(row['image'], row['text']): row['folds'] for row in rows}
    for image, label in IMAGES.items():
        values = [cells[image, text] for text in TEXTS]
        found = [f'{np.mean(folds):.1f} ± {np.std(folds, ddof=1):.1f}' for folds in values]
        lines.append(f'| {label} | {" | ".join(found)} |')
    chance = ' | '.join([f'{rows[0]["chance"]}'] * len(TEXTS))
    lines.append(f'| chance ({rows[0]["sentences"]} sentences) | {chance} |')
    return '\n'.join(lines) + '\n'
