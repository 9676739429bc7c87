"""Every reader of strangers' files, called on one example each, and what counts as a finding."""

import io
import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_base import Target, Unusable, use, write
from fuzz_formats import FORMAT_TARGETS
from fuzz_strategies import (
    COCO,
    HEIGHT,
    LINE,
    PICKLES,
    RECORD,
    WIDTH,
    bent,
    coco_files,
    csv_rows,
    files_of_splits,
    json_bytes,
    labelme_files,
    line_records,
    masks,
    prediction_files,
    records,
    refer_files,
    results,
    simrec_files,
    small_rles,
    vocabularies,
)  # fmt: skip
from PIL import Image
from pycocotools import mask as coco_mask

from mmrefseg.analysis.cases import collect_cases
from mmrefseg.datasets.annotations import load_split
from mmrefseg.datasets.coco import CheckedCoco, check_coco, read_coco
from mmrefseg.datasets.coco_instance_dataset import CocoInstanceDataset
from mmrefseg.datasets.converters import (
    ImageSizes,
    mix_datasets,
    read_boxes_csv,
    read_grefcoco,
    read_instances,
    read_json_lines,
    read_reasonseg,
    read_refer,
    read_simrec,
    sample_masks,
    write_refer,
)
from mmrefseg.datasets.predicted_pairs import read_predicted_pairs
from mmrefseg.datasets.ref_seg_dataset import RefSegDataset
from mmrefseg.datasets.transforms import DrawExpression, LoadRefAnnotations, LoadRefImage
from mmrefseg.datasets.vocabulary import Vocabulary
from mmrefseg.evaluation.functional.instances import average_precision
from mmrefseg.evaluation.prediction_file import load_predictions, pair_predictions
from mmrefseg.evaluation.submission import SubmissionChecker
from mmrefseg.pseudo_labels import PredictionStore, Selector, select, summarise_selection
from mmrefseg.structures import rle as rle_codes
from mmrefseg.structures.masks import form_problem, mask_problem, to_bitmap, to_rle, union
from mmrefseg.utils import UserInputError
from mmrefseg.utils.safe_pickle import load_pickle


def _train_on(path: str, folder: Path) -> None:
    """What training and testing do with a split: the data set, the image, the expression, the mask."""
    for test_mode in (False, True):
        pipeline = [LoadRefImage(), DrawExpression(), LoadRefAnnotations()]
        prefix = dict(img_path=str(folder / 'img'))
        RefSegDataset(path, 'train', prefix, img_template='{}.png', test_mode=test_mode, pipeline=pipeline)[0]


def working_format(folder: Path, record: Any) -> None:
    other = {**RECORD, 'ref_id': 99, 'sent_ids': [99]}
    _train_on(write(folder, 'w.json', {'train': [record, other]}), folder)


def split_files(folder: Path, content: Any) -> None:
    _train_on(write(folder, 'w.json', content), folder)


def json_texts(folder: Path, content: bytes) -> None:
    """The same bytes for every reader of json: accepted if one of them accepts them."""
    path, lines = write(folder, 'j.json', content), write(folder, 'j.jsonl', content)
    readers: list[Callable[[], Any]] = [
        lambda: use(read_instances(path), folder),
        lambda: use(read_json_lines(lines, folder / 'img'), folder),
        lambda: load_predictions(path),
        lambda: load_predictions(lines),
        lambda: PredictionStore([path]).close(),
        lambda: Vocabulary.load(path),
        lambda: Vocabulary.build(path),
        lambda: ImageSizes(instances=path),
        lambda: read_refer(path, folder / 'coco.json'),
    ]
    # What a run has left half written at the end of these is passed over.
    read_predicted_pairs(lines)
    PredictionStore([lines]).close()
    refused = []
    for read in readers:
        try:
            read()
        except UserInputError as error:
            refused.append(error)
    if len(refused) == len(readers):
        raise refused[0]


def to_refer_and_back(folder: Path, record: Any) -> None:
    conversion = read_instances(write(folder, 'i.json', {'train': [record]}))
    use(conversion, folder)
    write_refer(conversion.splits, folder / 'refer', 'x')
    try:
        read_refer(folder / 'refer' / 'refs(x).p', folder / 'refer' / 'instances.json')
    except UserInputError as error:
        raise Unusable(f'{error}') from error


def training_sets(folder: Path, record: Any) -> None:
    path = write(folder, 'i.json', {'train': [record, {**RECORD, 'ref_id': 99, 'sent_ids': [99]}]})
    splits = read_instances(path).splits
    sample_masks(splits['train'], [1, 50], 0)
    Vocabulary.build(path).encode(splits['train'][0]['expressions'])
    mix_datasets({'x': splits, 'y': {'train': [{**RECORD, 'image_id': 'else'}]}})


def json_lines(folder: Path, line: Any) -> None:
    path = write(folder, 'l.jsonl', json.dumps(line).encode() + b'\n' + json.dumps(LINE).encode() + b'\n')
    use(read_json_lines(path, folder / 'img'), folder)


def csv_files(folder: Path, row: bytes) -> None:
    path = write(folder, 'c.csv', b'ref_id,img_id,sent_id,sent,bbox\n' + row)
    use(read_boxes_csv({'val': path}, ImageSizes(folder / 'img', None, '{}.png')), folder)


def refer(folder: Path, files: tuple) -> None:
    coco, refs = files
    for name, content in (('refs.p', pickle.dumps(refs, 2)), ('refs.json', refs)):
        use(read_refer(write(folder, name, content), write(folder, 'c.json', coco)), folder)


def grefcoco(folder: Path, files: tuple) -> None:
    coco, refs = files
    use(read_grefcoco(write(folder, 'g.json', refs), write(folder, 'c.json', coco)), folder)


COCO_STEPS = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='mmdet.PackDetInputs', meta_keys=('img_id',)),
]


def coco_instances(folder: Path, content: Any) -> None:
    """A mended file is sound; what is left can be trained on and scored: found as it is, it gives AP 1."""
    path = write(folder, 'instances.json', content)
    checked = read_coco(path, folder / 'img')
    again = check_coco(json.loads(json.dumps(checked.content)))
    if again.mended or again.unusable:
        raise Unusable(f'{checked.sentences()} once more: {again.sentences()}')
    for kind, field in (('bbox', 'bbox'), ('segm', 'segmentation')):
        found = [_as_found(each, field, checked) for each in checked.annotations if not each['iscrowd']]
        ap = average_precision(checked.content, [each for each in found if each[field]], kind).columns['mAP']
        if ap not in (-1, 1):
            raise Unusable(f'perfect predictions have {kind} AP {ap}')
    names = tuple(category['name'] for category in checked.content['categories'])
    logging.disable(logging.WARNING)  # thousands of sentences
    try:
        dataset = CocoInstanceDataset(
            ann_file=path,
            data_prefix=dict(img=f'{folder / "img"}/'),
            metainfo=dict(classes=names),
            pipeline=COCO_STEPS,
        )
        for position in range(len(dataset)):
            dataset[position]
    finally:
        logging.disable(logging.NOTSET)


def _as_found(annotation: dict, field: str, checked: CheckedCoco) -> dict:
    """A prediction of just what is annotated."""
    value = annotation.get(field)
    if value and field == 'segmentation':
        image = next(each for each in checked.content['images'] if each['id'] == annotation['image_id'])
        value = to_rle(value, image['height'], image['width'])
    names = ('image_id', 'category_id')
    return {**{name: annotation[name] for name in names}, 'score': 0.5, field: value}


def simrec(folder: Path, content: Any) -> None:
    path = write(folder, 's.json', content)
    use(read_simrec(path, ImageSizes(folder / 'img', None, '{}.png')), folder)
    use(read_simrec(path, ImageSizes(instances=folder / 'coco.json')), folder)


def image_sizes(folder: Path, files: tuple) -> None:
    ImageSizes(instances=write(folder, 'c.json', files[0]))({'image_id': 1}, 'record')


def reasonseg(folder: Path, content: Any) -> None:
    (folder / 'reason' / 'train').mkdir(parents=True, exist_ok=True)
    if not (folder / 'reason' / 'train' / 'a.png').exists():
        Image.new('RGB', (WIDTH, HEIGHT)).save(folder / 'reason' / 'train' / 'a.png')
    write(folder / 'reason' / 'train', 'a.json', content)
    use(read_reasonseg(folder / 'reason'), folder)


def run_lengths(folder: Path, example: tuple) -> None:
    counts, (height, width) = example
    try:
        area = rle_codes.area(counts, height, width)
    except ValueError as error:
        raise UserInputError(str(error)) from None
    rle = {'size': [height, width], 'counts': counts}
    if isinstance(counts, list):
        rle = coco_mask.frPyObjects(rle, height, width)
    if int(coco_mask.decode(rle).sum()) != area:
        raise Unusable('pycocotools finds another area')


def mask_forms(folder: Path, mask: Any) -> None:
    for check in (mask_problem, form_problem):
        bitmap = to_bitmap(mask, HEIGHT, WIDTH, check=check)
        if bitmap.shape != (HEIGHT, WIDTH) or (check is mask_problem and not bitmap.any()):
            raise Unusable('an empty mask')
    to_bitmap(union([mask, RECORD['mask']], HEIGHT, WIDTH), HEIGHT, WIDTH)
    to_bitmap(mask, HEIGHT, WIDTH, overlap='background')


def predictions(folder: Path, content: Any) -> None:
    objects = load_split(folder / 'masks.json', 'train')
    entries = load_predictions(write(folder, 'p.json', content))
    pairs = pair_predictions(entries, objects, 'p.json')
    if pairs[0].prediction is not None:
        collect_cases(pairs, objects)


def prediction_stores(folder: Path, content: Any) -> None:
    lines = content if isinstance(content, list) else [content]
    shard = write(folder, 'x.rank0.jsonl', '\n'.join(map(json.dumps, lines)).encode() + b'\n')
    read_predicted_pairs(shard)
    for path in (shard, write(folder, 'x.json', content)):
        for selector in (Selector('rpp', None, 0.7, 'best'), Selector('all', None, 0.7, 'vote')):
            with PredictionStore([path]) as store:
                objects = load_split(folder / 'boxes.json', 'train')
                outcomes = list(select(objects, store, selector))
            summarise_selection(outcomes, selector)
    picked = write(folder, 'picked.json', {'train': [outcome.record for outcome in outcomes]})
    try:
        _train_on(picked, folder)
    except UserInputError as error:
        raise Unusable(f'{error}') from error


def submissions(folder: Path, entry: Any) -> None:
    checker = SubmissionChecker(COCO)
    problems = list(checker.problems([entry, entry]))
    if any('\n' in fault for _, fault in problems):
        raise Unusable('a fault of several lines')
    if len(problems) > 1:
        raise UserInputError(problems[0][1])
    checker.remarks([entry])


def pickles(folder: Path, content: bytes) -> None:
    load_pickle(write(folder, 'z.pkl', content), arrays=True)


def vocabulary_files(folder: Path, content: Any) -> None:
    vocabulary = Vocabulary.load(write(folder, 'v.json', content))
    vocabulary.encode(['the left cup'])
    vocabulary.save(folder / 'saved.json')
    Vocabulary.load(folder / 'saved.json')


def _images() -> list[bytes]:
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    files = []
    for kind in ('png', 'jpeg', 'bmp', 'gif'):
        with io.BytesIO() as file:
            Image.fromarray(noise).save(file, kind)
            files.append(file.getvalue())
    return files


def image_files(folder: Path, content: bytes) -> None:
    path = write(folder, 'image.png', content)
    size = ImageSizes(folder, None, '{}.png')({'image_id': 'image'}, 'record')
    results = {'img_path': path, 'height': size[0], 'width': size[1], 'instances': [RECORD]}
    LoadRefImage()(results)


TARGETS = {
    'working format': Target(records, working_format, 0.5),
    'files of splits': Target(files_of_splits, split_files),
    'json texts': Target(json_bytes, json_texts, 0.3),
    'refer and back': Target(records, to_refer_and_back),
    'training sets': Target(records, training_sets),
    'json lines': Target(line_records, json_lines, 2),
    'csv': Target(csv_rows, csv_files),
    'refer': Target(refer_files, refer, 2),
    'gRefCOCO': Target(refer_files, grefcoco, 2),
    'COCO instances': Target(coco_files(), coco_instances, 1.5),
    'image sizes': Target(refer_files, image_sizes, 0.5),
    'SimREC': Target(simrec_files, simrec),
    'ReasonSeg': Target(labelme_files, reasonseg, 1.5),
    'run lengths': Target(small_rles, run_lengths, 2),
    'masks': Target(masks, mask_forms, 2),
    'predictions': Target(prediction_files, predictions, 2),
    'prediction stores': Target(prediction_files, prediction_stores, 0.5),
    'submissions': Target(results, submissions, 1.5),
    'pickles': Target(bent(PICKLES), pickles, 1.5),
    'vocabularies': Target(vocabularies, vocabulary_files),
    'images': Target(bent(_images()), image_files, 0.5),
    **FORMAT_TARGETS,
}
