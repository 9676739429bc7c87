"""gRefCOCO: expressions that refer to none, one or several objects."""

import os
from typing import Any

from ...structures import masks
from ...utils import UserInputError
from ..annotations import paused_gc
from ..validation import mask_problem
from .conversion import Conversion
from .refer import CocoInstances, annotation_mask, read_refs, sentence_text


def read_grefcoco(
    refs: str | os.PathLike,
    instances: str | os.PathLike,
    text: str = 'sent',
    skip_bad: bool = False,
    mend: bool = False,
) -> Conversion:
    """Read ``grefs(unc).json`` and ``instances.json``.

    Several targets become one mask (their union) and one box around all; ``ann_ids`` and ``boxes`` keep them
    apart. A ref without target gets ``no_target=True``, the box [0, 0, 0, 0] and no mask; data sets here
    leave it out, as no model of the package predicts "nothing".

    Args:
        refs: gRefCOCO's json file (``ann_id`` is a list, [-1] for no target).
        instances: COCO's instances of the pictures.
        text: ``'sent'`` or ``'raw'``.
        skip_bad: Count and list bad records instead of stopping.
        mend: Drop polygons of fewer than 3 points from masks that have others.

    Raises:
        UserInputError: If a file or a record is wrong.
    """
    conversion = Conversion(skip_bad, mend)
    with paused_gc():
        coco = CocoInstances(instances)
        for index, ref in enumerate(read_refs(refs)):
            where = f'{refs} ref {index}'
            try:
                record = _record(ref, coco, text, where)
            except UserInputError as error:
                conversion.skip(error)
            else:
                conversion.add_new(str(ref['split']), record, where)
        return conversion.finish(str(refs))


def _record(ref: dict, coco: CocoInstances, text: str, where: str) -> dict[str, Any]:
    missing = [key for key in ('image_id', 'split', 'sentences', 'ann_id') if key not in ref]
    if missing:
        raise UserInputError.of(
            where, f'a ref without {", ".join(missing)}', "gRefCOCO's fields", 'check the file'
        )
    record = coco.picture(ref['image_id'], where)
    numbers = ref['ann_id'] if isinstance(ref['ann_id'], list) else [ref['ann_id']]
    if ref.get('no_target') or numbers in ([], [-1]):
        record.update(bbox=[0, 0, 0, 0], no_target=True, category_id=0, ann_ids=[])
    else:
        found = [coco.annotation(number, ref['image_id'], where) for number in numbers]
        record.update(_targets(found, record, where))
    record['ref_id'] = ref.get('ref_id')
    record['expressions'] = [sentence_text(sentence, text) for sentence in ref['sentences']]
    if all('sent_id' in sentence for sentence in ref['sentences']):
        record['sent_ids'] = [sentence['sent_id'] for sentence in ref['sentences']]
    return record


def _targets(annotations: list[dict], picture: dict, where: str) -> dict[str, Any]:
    boxes = [annotation['bbox'] for annotation in annotations]
    fields = {
        'bbox': boxes[0] if len(boxes) == 1 else masks.box_union(boxes),
        'boxes': boxes,
        'ann_ids': [annotation['id'] for annotation in annotations],
        'category_id': annotations[0].get('category_id'),
        'category_ids': [annotation.get('category_id') for annotation in annotations],
    }
    if not all(annotation.get('segmentation') for annotation in annotations):
        return fields
    parts = [annotation_mask(annotation, picture, where) for annotation in annotations]
    for number, part in zip(fields['ann_ids'], parts, strict=True):
        problem = mask_problem(part, picture['height'], picture['width'])
        if problem:
            raise UserInputError.of(f'{where} (ann_id {number})', *problem)
    fields['mask'] = masks.union(parts, picture['height'], picture['width'])
    return fields
