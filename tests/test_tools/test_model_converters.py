"""The checkpoint converters as processes: tables, files, and one sentence for what is wrong."""

import json
import pickle

import numpy as np
import torch
from mmengine.config import Config

from mmrefseg.compat.checkpoint import load_checkpoint_file
from mmrefseg.datasets.vocabulary import Vocabulary


def save_checkpoint(path, golden_dir, name, num_words=500, **changes):
    """The original's keys and shapes, one number in each tensor, as saved by data-parallel training."""
    spec = json.loads((golden_dir / 'seqtr' / f'spec_{name}.json').read_text())
    state = {
        key: torch.zeros((), dtype=getattr(torch, dtype)).expand(shape)
        for key, (shape, dtype) in spec.items()
    }
    state['lan_enc.embedding.weight'] = torch.zeros(num_words, 300)
    state = {**state, **changes}
    torch.save({'state_dict': {f'module.{k}': v for k, v in state.items() if v is not None}}, path)
    return path


def test_seqtr_with_the_originals_words(tools, golden_dir, tmp_path):
    """The command of docs/weights.md: a table, three files, and where they are."""
    facts = json.loads((golden_dir / 'seqtr/F_tokenize_partial.json').read_text())
    index = facts['token2idx']
    (tmp_path / 'token_to_ix.pkl').write_bytes(pickle.dumps(index))
    source = save_checkpoint(tmp_path / 'det_best.pth', golden_dir, 'E_partial_rec', len(index))
    target = tmp_path / 'rec.pth'
    options = ('--vocab', tmp_path / 'token_to_ix.pkl', '--dataset', 'refcocog-umd')
    done = tools.succeed('model_converters/seqtr.py', source, target, *options)
    assert '540 converted, 0 dropped, 0 missing, 0 mismatched, 0 left over' in done.stdout
    assert f'Partial-RES, rec, raw weights -> {target}' in done.stdout
    (row,) = [
        line.split() for line in done.stdout.splitlines() if line.startswith('lan_enc.lstm.bias_hh_l0 ')
    ]
    assert row == ['lan_enc.lstm.bias_hh_l0', 'language_model.gru.bias_hh_l0', '1', '1536']
    config = Config.fromfile(tmp_path / 'rec.py')
    assert config.model.language_model.vocabulary.file == str(tmp_path / 'rec.vocab.json')
    assert config.model.language_model.max_tokens == 20, "RefCOCOg's"
    assert Vocabulary.load(tmp_path / 'rec.vocab.json').index == index

    # The words collected anew from the annotations: the same order.
    annotations = json.loads((golden_dir / 'seqtr/F_sources.json').read_text())['instances']
    (tmp_path / 'instances.json').write_text(json.dumps(annotations))
    (tmp_path / 'rec.vocab.json').unlink()
    tools.succeed('model_converters/seqtr.py', source, target, '--ann', tmp_path / 'instances.json')
    assert Vocabulary.load(tmp_path / 'rec.vocab.json').index == index


def test_seqtr_says_what_is_wrong_and_writes_nothing(tools, golden_dir, tmp_path):
    changes = {'fusion.down_mid2top.1.bn.bias': None, 'head.extra': torch.zeros(1)}
    source = save_checkpoint(tmp_path / 'det_best.pth', golden_dir, 'A_seqtr_rec', **changes)
    target = tmp_path / 'out' / 'rec.pth'
    error = tools.fail('model_converters/seqtr.py', source, target)
    assert (
        '1 keys without a place here (head.extra), 1 keys missing (neck.middle_to_coarse.1.bn.bias)' in error
    )
    assert not target.parent.exists()
    assert 'only raw weights' in tools.fail('model_converters/seqtr.py', source, target, '--weights', 'ema')
    allowed = ('--allow', 'head.extra', 'neck.middle_to_coarse.1.bn.*')
    done = tools.succeed('model_converters/seqtr.py', source, target, *allowed, '--every-key')
    assert len(done.stdout.splitlines()) > 522
    assert len(load_checkpoint_file(target)['state_dict']) == 520


def test_a_checkpoint_that_would_run_code_is_refused(tools, tmp_path):
    torch.save({'state_dict': {}, 'x': np.random.default_rng(0)}, tmp_path / 'bad.pth')
    error = tools.fail('model_converters/seqtr.py', tmp_path / 'bad.pth', tmp_path / 'out.pth')
    assert 'wants to import' in error and 'was not executed' in error


def test_darknet(tools, tmp_path):
    """The full-size file: 225 MB, of which the table says where they went."""
    path = tmp_path / 'darknet.weights'
    header = np.array([0, 2, 0, 32013312, 0], '<i4')
    path.write_bytes(header.tobytes() + np.ones(56367712 + 7, '<f4').tobytes())
    done = tools.succeed('model_converters/darknet.py', path, 'data/weights/darknet53.pth')
    assert '348 converted, 1 dropped, 0 missing, 0 mismatched, 0 left over; 56,367,770 numbers' in done.stdout
    assert 'the last 7 numbers' in done.stdout
    state = load_checkpoint_file(tools.folder / 'data/weights/darknet53.pth')['state_dict']
    assert state['layers.13.conv.weight'].shape == (1024, 512, 3, 3)
    path.write_bytes(path.read_bytes()[: 4 * 40_000_000])
    error = tools.fail('model_converters/darknet.py', path, 'out.pth')
    assert 'keys missing (layers.1' in error and not (tools.folder / 'out.pth').exists()
