"""LAVT as a pseudo-labeller: masks for all boxes, cut at them, selected, and learned from."""

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

CONFIG = str(Path(__file__).with_name('lavt_config.py'))
LABELLER = """
_base_ = [{base!r}]
model = dict(test_cfg=dict(confine_to_box=True))
load = [dict(type='LoadRefImage'), dict(type='DrawExpression'), dict(type='RefResize', scale=(64, 64))]
test_dataloader = dict(
    dataset=dict(
        ann_file='few.json',
        split='train',
        group_by='image',
        pipeline=[*load, dict(type='LoadRefAnnotations', with_mask=False), dict(type='PackRefInputs')],
    )
)
test_evaluator = dict(_delete_=True, type='PseudoLabelDump', outfile_prefix='lavt/pseudo')
"""


@pytest.fixture(scope='module')
def labelled(tools):
    """Train on everything, withhold six of eight masks, predict for all boxes; the lines of the dump."""
    tools.succeed('train.py', CONFIG, '--work-dir', 'lavt_all', '--cfg-options', 'train_cfg.max_epochs=1')
    splits = json.loads((tools.folder / 'data/instances.json').read_text())
    for record in splits['train'][2:]:
        del record['mask']
    (tools.folder / 'data/few.json').write_text(json.dumps(splits))
    (tools.folder / 'labeller.py').write_text(LABELLER.format(base=CONFIG))
    tools.succeed('test.py', 'labeller.py', 'lavt_all/latest.pth', '--work-dir', 'lavt')
    lines = (tools.folder / 'lavt/pseudo.rank0.jsonl').read_text().splitlines()
    return splits['train'], [json.loads(line) for line in lines]


def test_every_sentence_gets_a_mask_inside_its_box(labelled):
    records, lines = labelled
    expected = {(record['ref_id'], sent) for record in records for sent in record['sent_ids']}
    assert {(line['ref_id'], line['sent_id']) for line in lines} == expected and len(lines) == 16
    boxes = {record['ref_id']: record['bbox'] for record in records}
    inside = 0
    for line in lines:
        mask = coco_mask.decode(line['segmentation']).astype(bool)
        x, y, w, h = boxes[line['ref_id']]
        allowed = np.zeros_like(mask)
        allowed[y : y + h + 1, x : x + w + 1] = True
        assert not (mask & ~allowed).any()
        inside += mask.sum()
    assert inside > 0


def test_selected_masks_are_learned_from(tools, labelled):
    """The picked file has LAVT's masks, and LAVT trains on it."""
    tools.succeed(
        'choose_pseudo_data.py', '--predictions', 'lavt/pseudo', '--annotations', 'data/few.json', '--out',
        'data/picked.json', '--strategy', 'all',
    )  # fmt: skip
    picked = json.loads((tools.folder / 'data/picked.json').read_text())['train']
    pseudo = [record for record in picked if 'mask_source' in record]
    assert len(pseudo) >= 3 and sum('mask' in record for record in picked) == len(pseudo) + 2
    done = tools.succeed(
        'train.py', CONFIG, '--work-dir', 'lavt_retrained', '--cfg-options', 'train_cfg.max_epochs=1',
        'train_dataloader.dataset.ann_file=picked.json', 'train_dataloader.dataset.require_masks=True',
    )  # fmt: skip
    assert 'Epoch(train)' in done.stdout
