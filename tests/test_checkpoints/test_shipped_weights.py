"""The weights inside the package: what they say of themselves is what they score."""

import json
import re
from itertools import pairwise

import pytest
import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import CheckpointLoader

from mmrefseg.checkpoints.shipped import (
    Provenance,
    fingerprint,
    halve,
    select,
    write_safetensors,
)
from mmrefseg.compat.checkpoint import load_checkpoint_file
from mmrefseg.datasets.refshapes import PRESETS, Preset, generate
from mmrefseg.datasets.vocabulary import Vocabulary
from mmrefseg.runs.config import build_runner, load_config, start_from
from mmrefseg.runs.words import language_models
from mmrefseg.utils import UserInputError, file_sha256, load_json
from mmrefseg.utils.places import DEFAULT, WEIGHTS, shipped, shipped_weights

BOXES = 'mmrefseg://rec_tiny_refshapes'
CELLS = 'mmrefseg://box-frame_tiny_masks_refshapes'
MEGABYTE = 1000**2
TOLERANCE = 0.3
"""Points. On the machine that wrote them the figures are exact; another processor sums in another order,
which turns a few of 1,500 predictions at the edge of a bin."""


@pytest.fixture(scope='module')
def test_a(tmp_path_factory):
    """RefShapes small without its other splits: its images do not depend on them, and make in seconds."""
    small = PRESETS['small']
    preset = Preset(small.name, small.image_size, {'testA': small.splits['testA']})
    return generate(preset, tmp_path_factory.mktemp('data'), num_workers=1, progress=False)


def score(address, made, folder):
    """Metrics of shipped weights on generated images, as ``test.py`` computes them."""
    provenance = Provenance.of_file(address)
    dataset = 'test_dataloader.dataset'
    options = {
        f'{dataset}.ann_file': str(made.annotations / 'instances.json'),
        f'{dataset}.data_prefix.img_path': str(made.images),
        'work_dir': str(folder),
        'default_hooks.progress': None,
    }
    config = load_config(shipped(provenance.config), options)
    ((_, reader),) = language_models(config.model)
    reader['vocabulary'] = dict(file=address)
    start_from(config, address)
    return build_runner(config).test()


@pytest.mark.parametrize(
    ('address', 'least'),
    [(BOXES, {'rec/acc50': 80}), (CELLS, {'res/miou': 60}), (DEFAULT, {'res/miou': 80, 'res/p90': 70})],
)
def test_they_score_what_their_metadata_say(test_a, tmp_path, address, least):
    provenance = Provenance.of_file(address)
    records = load_json(test_a.annotations / 'instances.json')['testA']
    assert provenance.split == 'testA' and provenance.split_sha256 == fingerprint([records])
    found = score(address, test_a, tmp_path)
    assert set(found) == set(provenance.metrics) and len(records) > 600
    for name, value in provenance.metrics.items():
        assert found[name] == pytest.approx(value, abs=TOLERANCE), name
    assert all(found[name] > value for name, value in least.items())


def test_files_that_belong_together_and_are_small():
    boxes, *others = (Provenance.of_file(address) for address in (BOXES, CELLS, DEFAULT))
    assert [(each.extends, each.extends_as, each.readout) for each in (boxes, *others)] == [
        ('', '', 'none'),
        (BOXES, '', 'cells'),
        (BOXES, 'segmentor', 'refiner'),
    ]
    assert boxes.words[:3] == ('PAD', 'UNK', 'CLS') and 'triangle' in boxes.words
    for provenance in others:
        assert provenance.extends_sha256 == file_sha256(shipped_weights(BOXES))
        assert boxes.words == provenance.words and boxes.data_sha256 == provenance.data_sha256
        assert boxes.max_tokens == provenance.max_tokens == 16
    for provenance in (boxes, *others):
        assert shipped(provenance.config).is_file() and f'--seed {provenance.seed}' in provenance.command
        assert len(provenance.commit) >= 7 and 'dirty' not in provenance.commit
    files = list(WEIGHTS.iterdir())
    assert len(files) == 3 and sum(file.stat().st_size for file in files) < 5 * MEGABYTE


@pytest.mark.parametrize('address', (BOXES, CELLS, DEFAULT))
def test_they_name_no_place_of_the_machine_that_made_them(address):
    metadata = load_checkpoint_file(str(shipped_weights(address)))['meta']['safetensors']
    assert not re.search(r'[\s\'"=]/[a-z]', json.dumps(metadata))


def test_masks_come_on_top_of_boxes():
    boxes, whole = load_checkpoint_file(BOXES)['state_dict'], load_checkpoint_file(CELLS)['state_dict']
    added = set(whole) - set(boxes)
    assert added and all(key.startswith(('head.roi_memory', 'head.mask_cell', 'head.task')) for key in added)
    changed = [key for key in boxes if not torch.equal(boxes[key], whole[key])]
    assert changed == ['head.decoder.position.weight']
    # boxes are read as the network of boxes reads them: by the same places, from a start of zeros
    assert torch.equal(whole[changed[0]][:5], boxes[changed[0]])
    assert not whole['head.task_embedding.weight'][0].any()


def test_the_refiner_comes_on_top_of_the_very_same_boxes():
    boxes, whole = load_checkpoint_file(BOXES)['state_dict'], load_checkpoint_file(DEFAULT)['state_dict']
    assert all(torch.equal(whole.pop(f'segmentor.{key}'), value) for key, value in boxes.items())
    assert whole and {key.partition('.')[0] for key in whole} == {'refiner', 'quality'}


def test_any_runner_knows_the_address():
    state = CheckpointLoader.load_checkpoint(BOXES, map_location='cpu', logger='silent')['state_dict']
    assert (
        state.keys() == load_checkpoint_file(shipped_weights(BOXES))['state_dict'].keys() and len(state) > 200
    )


def start_anything_from(address):
    start_from(Config(), address)


@pytest.mark.parametrize(
    'load', [load_checkpoint_file, CheckpointLoader.load_checkpoint, start_anything_from, Provenance.of_file]
)
def test_an_unknown_name_is_one_sentence_with_those_there_are(load):
    with pytest.raises(
        UserInputError, match=f'no weights of that name.*{CELLS}, {DEFAULT} or {BOXES}; correct'
    ):
        load('mmrefseg://rec_tiny')


def test_half_precision_only_where_it_serves():
    state = {
        'bn.running_var': torch.tensor([1.0, 1e-6]),
        'other.running_var': torch.tensor([1.0, 0.3]),
        'large.weight': torch.tensor([1e6]),
        'small.weight': torch.tensor([1e-9, 0.5]),
        'bn.num_batches_tracked': torch.tensor(7),
    }
    kept = {key: value.dtype for key, value in halve(state).items()}
    assert kept == {
        'bn.running_var': torch.float32,
        'other.running_var': torch.float16,
        'large.weight': torch.float32,
        'small.weight': torch.float16,
        'bn.num_batches_tracked': torch.int64,
    }


def test_provenance_round_trips_and_misses_are_named(tmp_path):
    provenance = Provenance.of_file(DEFAULT)
    metadata = provenance.to_metadata()
    assert all(isinstance(value, str) for value in metadata.values())
    assert Provenance.from_metadata(metadata, 'here') == provenance
    path = tmp_path / 'some.safetensors'
    write_safetensors(path, {'w': torch.ones(2)}, {**metadata, 'seed': 'zero', 'words': json.dumps(['a'])})
    with pytest.raises(UserInputError, match=r'some\.safetensors: found metadata without seed, '):
        Provenance.of_file(path)
    with pytest.raises(UserInputError, match=r'some\.pth: found another ending'):
        write_safetensors(tmp_path / 'some.pth', {})


def test_a_file_is_the_same_each_time_it_is_written(tmp_path):
    """Its strings by name, whatever order the library has them in; tensors as they were."""
    strings = {name: name * 3 for name in ('words', 'cfg', 'état', 'a', 'zeta', 'seed')}
    state = {'b': torch.arange(3), 'a': torch.ones(2, 2)}
    write_safetensors(tmp_path / 'some.safetensors', state, strings)
    content = (tmp_path / 'some.safetensors').read_bytes()
    size = int.from_bytes(content[:8], 'little')
    assert size % 8 == 0
    kept = json.loads(content[8 : 8 + size])['__metadata__']
    assert list(kept) == sorted(kept) and kept == {'format': 'pt', **strings}
    read = load_checkpoint_file(tmp_path / 'some.safetensors')
    assert read['meta']['safetensors'].items() >= strings.items()
    assert all(torch.equal(read['state_dict'][key], state[key]) for key in state)


def test_parts_are_chosen_by_the_names_of_modules():
    state = {'head.roi.weight': 1, 'head.roi_memory.weight': 2, 'neck': 3}
    assert select(state, ['head.roi', 'neck']) == {'head.roi.weight': 1, 'neck': 3}
    assert select(state, []) == state
    with pytest.raises(UserInputError, match=r'--keys head\.ro: found no weights of that name'):
        select(state, ['head.ro'])


def test_a_fingerprint_is_of_content_not_of_ids():
    record = {'file_name': 'a.png', 'height': 4, 'width': 4, 'bbox': [0, 0, 1, 1], 'expressions': ['a']}
    same = [{**record, 'ref_id': 5, 'image_id': 9}]
    assert fingerprint([[record]]) == fingerprint([same])
    assert fingerprint([[record]]) != fingerprint([[{**record, 'expressions': ['b']}]])


def with_metadata(path, **changes):
    """The package's boxes-only weights with other metadata; ``None`` takes one away."""
    checkpoint = load_checkpoint_file(BOXES)
    metadata = checkpoint['meta']['safetensors'] | changes
    metadata = {key: value for key, value in metadata.items() if value is not None}
    write_safetensors(path, checkpoint['state_dict'], metadata)
    return path


@pytest.mark.parametrize(
    ('changes', 'missing'),
    [
        ({'words': '5'}, 'words'),
        ({'words': 'null'}, 'words'),
        ({'words': '[1, 2]'}, 'words'),
        ({'words': '{"a": 1}'}, 'words'),
        ({'words': '[' * 100000}, 'words'),
        ({'words': None, 'seed': None}, 'seed, words'),
        ({'max_tokens': '"x"'}, 'max_tokens'),
        ({'metrics': '[]'}, 'metrics'),
        ({'seed': '1.5'}, 'seed'),
    ],
)
def test_broken_metadata_are_one_sentence(tmp_path, changes, missing):
    path = with_metadata(tmp_path / 'a.safetensors', **changes)
    with pytest.raises(UserInputError, match=f'a.safetensors: found metadata without {missing}, expected'):
        Provenance.of_file(path)
    if not {'words', 'max_tokens'}.isdisjoint(changes):
        with pytest.raises(UserInputError, match='that do not say which words they know'):
            Vocabulary.load(path)


def test_weights_that_extend_themselves(tmp_path, monkeypatch):
    names = ['a', 'b', 'a']
    for name, base in pairwise(names):
        with_metadata(tmp_path / f'{name}.safetensors', extends=f'mmrefseg://{base}')
    monkeypatch.setattr('mmrefseg.utils.places.WEIGHTS', tmp_path)
    with pytest.raises(UserInputError, match='found weights that extend themselves, by mmrefseg://a'):
        load_checkpoint_file('mmrefseg://a')


def test_a_damaged_header_is_one_sentence(tmp_path):
    """Whatever byte of the header is wrong: a sentence, or weights."""
    content, path = shipped_weights(BOXES).read_bytes(), tmp_path / 'a.safetensors'
    end, refused = 8 + int.from_bytes(content[:8], 'little'), 0
    for place in [*range(8), *range(8, end, end // 20)]:
        damaged = bytearray(content)
        damaged[place] ^= 0x80
        path.write_bytes(damaged)
        try:
            load_checkpoint_file(path)
        except UserInputError as error:
            assert '\n' not in str(error)
            refused += 1
    assert refused > 20
