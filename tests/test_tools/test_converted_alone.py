"""Converted checkpoints carry their config: the file alone predicts, in a folder where nothing else is."""

import argparse
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmrefseg.compat.carried import words_of
from mmrefseg.compat.checkpoint import load_checkpoint_file

from .conftest import REPO, Tools

COMMAND = Path(__file__).with_name('command.py')


@pytest.fixture
def predict(tmp_path):
    """Run ``mmrefseg predict`` with a converted file alone; returns its lines of json and what it says."""

    def run(checkpoint, *words):
        folder = tmp_path / 'alone'
        folder.mkdir(exist_ok=True)
        shutil.move(checkpoint, folder / 'mine.pth')
        Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(folder / 'a.png')
        given = [*words, '--weights', 'mine.pth', '--device', 'cpu']
        done = Tools(folder).succeed(COMMAND, 'predict', 'a.png', '--json', *given)
        assert {path.name for path in folder.iterdir()} == {'a.png', 'mine.pth', 'stdout.txt', 'stderr.txt'}
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    return run


def blank(keys):
    """Zeros of given shapes; a saved file holds one number of each."""
    return {
        key: torch.zeros((), dtype=getattr(torch, kind)).expand(shape) for key, (shape, kind) in keys.items()
    }


def read_spec(golden_dir, name):
    return json.loads((golden_dir / name).read_text())


def test_seqtr(tools, golden_dir, tmp_path, predict):
    """By name of a shipped config as by the data set: what the weights need is set on top of it."""
    index = read_spec(golden_dir, 'seqtr/F_tokenize_partial.json')['token2idx']
    (tmp_path / 'token_to_ix.pkl').write_bytes(pickle.dumps(index))
    state = blank(read_spec(golden_dir, 'seqtr/spec_E_partial_rec.json'))
    state['lan_enc.embedding.weight'] = torch.zeros(len(index), 300)
    torch.save({'state_dict': state}, tmp_path / 'det_best.pth')
    words = (tmp_path / 'det_best.pth', tmp_path / 'rec.pth', '--vocab', tmp_path / 'token_to_ix.pkl')
    name = 'partial-res_darknet53_rec_refcocog-umd'
    done = tools.succeed('model_converters/seqtr.py', *words, '--config', name)
    assert f'(from mmrefseg::partial_res/{name}.py)' in done.stdout
    assert f'carries config and words: mmrefseg predict --weights {tmp_path / "rec.pth"}' in done.stdout
    meta = load_checkpoint_file(tmp_path / 'rec.pth')['meta']
    assert "'max_tokens': 20" in meta['cfg'] and "'legacy_padding': True" in meta['cfg']
    lines, _ = predict(tmp_path / 'rec.pth', '--text', 'the left man')
    assert [line['sentence'] for line in lines] == ['the left man'] and len(lines[0]['box']) == 4
    (tmp_path / 'broken.py').write_text('model = dict(')
    for wrong, found in (
        ('mask-rcnn_tiny_refshapes', "found a model of type 'MaskRCNN', expected 'SeqTR'"),
        (REPO / 'configs/_base_/models/seqtr_darknet53.py', 'found no train_dataloader'),
        (tmp_path / 'broken.py', 'broken.py'),
    ):
        assert found in tools.fail('model_converters/seqtr.py', *words, '--config', wrong)


def test_lavt(tools, golden_dir, shared_dir, tmp_path, predict):
    """The config that fits is carried unasked, the word pieces where they are known."""
    golden = read_spec(golden_dir, 'lavt/lavt_one_checkpoint_format.json')
    content = {'model': blank(golden['model_keys']), 'args': argparse.Namespace(**golden['args'])}
    source, target = tmp_path / 'refcoco.pth', tmp_path / 'lavt.pth'
    torch.save(content, source)
    done = tools.succeed('model_converters/lavt.py', source, target)
    assert 'carries its config, but no word pieces of BERT' in done.stdout
    assert words_of(target) == {}
    vocab = shared_dir / 'vocab/bert-base-uncased-vocab.txt'
    done = tools.succeed('model_converters/lavt.py', source, target, '--vocab', vocab)
    assert f'carries config and word pieces: mmrefseg predict --weights {target}' in done.stdout
    assert words_of(target)['words'] == vocab.read_text().splitlines()
    lines, said = predict(target, '--text', 'the left man')
    assert [line['sentence'] for line in lines] == ['the left man']
    assert 'the mean probability inside the mask' in said


def save_detector(golden_dir, path):
    """Mask R-CNN of the zoo that is sure of its first class everywhere."""
    state = {
        key: np.zeros(shape, kind)
        for key, (shape, kind) in read_spec(golden_dir, 'lavt/spec_d2_maskrcnn_r50_fpn_1x.json').items()
    }
    state['roi_heads.box_predictor.cls_score.bias'][0] = 9.0
    path.write_bytes(pickle.dumps({'model': state, '__author__': 'test'}, protocol=2))


def test_detectron2(tools, golden_dir, tmp_path, predict):
    source, target = tmp_path / 'model_final.pkl', tmp_path / 'r50.pth'
    save_detector(golden_dir, source)
    done = tools.succeed('model_converters/detectron2.py', source, target)
    source.unlink()
    assert 'detector of 80 classes (person, ...); it carries configs/mask_rcnn/mask-rcnn_r50' in done.stdout
    lines, said = predict(target)
    assert lines and {line['sentence'] for line in lines} == {'person'}
    assert 'the probability of the class' in said


def test_mmdet2(tools, tmp_path, predict):
    """A config of the user's, and the class names of the file."""
    config = tmp_path / 'own.py'
    config.write_text(f"_base_ = '{REPO}/configs/mask_rcnn/mask-rcnn_tiny_refshapes.py'\n")
    state = tiny_detector(config)
    classes = [f'thing {index}' for index in range(len(state['roi_head.bbox_head.fc_cls.bias']) - 1)]
    torch.save(
        {'meta': {'mmdet_version': '2.7.0', 'CLASSES': classes}, 'state_dict': state}, tmp_path / 'a.pth'
    )
    words = ('model_converters/mmdet2.py', tmp_path / 'a.pth', tmp_path / 'b.pth', '--config')
    done = tools.succeed(*words, config)
    assert f'it carries {config}: mmrefseg predict --weights {tmp_path / "b.pth"}' in done.stdout
    config.unlink()
    lines, _ = predict(tmp_path / 'b.pth', '--threshold', '0.06')
    assert lines and {line['sentence'] for line in lines} <= set(classes)
    assert 'no such file (did you mean' in tools.fail(*words, 'mask-rcnn_tiny_refshape')
    assert 'found no model, expected' in tools.fail(*words, REPO / 'configs/_base_/default_runtime.py')


def tiny_detector(config):
    """Weights of its model, as they start."""
    from mmdet.registry import MODELS

    from mmrefseg.runs.config import load_config

    torch.manual_seed(0)
    return MODELS.build(load_config(str(config)).model).state_dict()
