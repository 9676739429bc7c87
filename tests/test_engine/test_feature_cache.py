"""Features of a frozen backbone, kept on disk: read instead of computed, and never other than computed."""

import copy
import errno
import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from mmrefseg.engine.feature_store import FeatureStore
from mmrefseg.engine.hooks import FeatureCacheHook, TrainOnlyHook
from mmrefseg.engine.hooks.feature_cache_hook import CachedForward, fingerprint
from mmrefseg.models.necks.multiscale_fusion import MultiscaleFusion
from mmrefseg.utils import UserInputError


class Backbone(nn.Module):
    """Two maps; counts the images that it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4)
        self.second, self.drop = nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.Dropout(0.5)
        self.images = 0

    def forward(self, images):
        self.images += len(images)
        x = self.norm(self.first(images))
        return x, self.drop(self.second(x.relu()))


class Network(BaseModel):
    """A frozen backbone and a head that learns the images' brightness."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = Backbone().requires_grad_(False), nn.Linear(6, 1)

    def forward(self, inputs, targets, mode='tensor'):
        images = torch.stack(list(inputs))
        found = self.head(self.backbone(images)[-1].mean((2, 3)))[:, 0]
        return dict(loss=(found - torch.stack(list(targets))).square().mean())


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network()


@pytest.fixture
def images():
    return torch.rand(6, 3, 16, 24)


@pytest.fixture
def cached():
    """Makes caches, and closes their files."""
    made = []

    def make(network, folder, limit=1.0, said=None):
        warn = (said if said is not None else []).append
        made.append(CachedForward(network.backbone.eval(), folder, limit, warn))
        return made[-1]

    yield make
    for cache in made:
        cache.remove()


def train(network, images, folder, *hooks):
    """Losses of three epochs of a real run."""
    losses = []

    class Watch(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            losses.append(outputs['loss'].item())

    runner = Runner(
        network,
        str(folder),
        train_dataloader=dict(
            dataset=[dict(inputs=image, targets=image.mean()) for image in images],
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=3),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=[*hooks, Watch()],
        randomness=dict(seed=0),
        experiment_name=folder.name,
    )
    runner.train()
    return losses


def test_the_second_time_nothing_is_computed_and_all_is_the_same(network, images, tmp_path, cached):
    plain = network.backbone.eval()(images)
    network.backbone.images = 0
    cache = cached(network, tmp_path)
    first, second = network.backbone(images), network.backbone(images)
    assert network.backbone.images == 6 and (cache.computed, cache.read) == (6, 6)
    for one, two, exact in zip(first, second, plain, strict=True):
        assert torch.equal(one, two)
        torch.testing.assert_close(one, exact, rtol=2**-10, atol=1e-6)
    cache.remove()
    assert torch.equal(network.backbone(images)[1], plain[1])
    assert '6 images read, 6 computed' in cache.said() and '0 images read' in cache.said()


class Pyramid(nn.Module):
    """A frozen encoder with something behind it that learns, as HFBackbone is."""

    def __init__(self, normalise=1.0):
        super().__init__()
        self.encoder, self.pyramid = Backbone().requires_grad_(False), nn.Conv2d(6, 2, 1)
        self.register_buffer('std', torch.tensor(normalise), persistent=False)

    def encode(self, images):
        return list(self.encoder(images / self.std))

    def forward(self, images):
        return (self.pyramid(self.encode(images)[-1]),)


def test_what_learns_behind_a_frozen_encoder_is_computed_each_time(images, tmp_path):
    torch.manual_seed(0)
    backbone = Pyramid().eval()
    hook = FeatureCacheHook(tmp_path)
    hook.before_run(SimpleNamespace(model=nn.ModuleDict({'backbone': backbone}), logger=logging.getLogger()))
    first = backbone(images)[0]
    first.sum().backward()
    with torch.no_grad():
        backbone.pyramid.bias += 1
    second = backbone(images)[0]
    assert backbone.encoder.images == 6 and torch.allclose(second, first + 1)
    assert backbone.pyramid.weight.grad.abs().sum() > 0
    other = Pyramid(normalise=2.0)
    other.load_state_dict(backbone.state_dict())
    assert fingerprint(other) != fingerprint(backbone)
    hook.after_run(None)
    assert 'encode' not in backbone.__dict__


def test_another_run_and_another_order_read_what_is_there(network, images, tmp_path, cached):
    first = cached(network, tmp_path)
    maps = network.backbone(images[:4])
    first.remove()
    again = cached(copy.deepcopy(network), tmp_path)
    found = again.backbone(images[[5, 2, 0]])
    assert (again.computed, again.read) == (1, 2)
    assert torch.equal(found[0][1:], maps[0][[2, 0]]) and torch.equal(found[1][1:], maps[1][[2, 0]])


def test_other_weights_and_other_images_are_other_features(network, images, tmp_path, cached):
    other = copy.deepcopy(network)
    cache = cached(network, tmp_path)
    network.backbone(images)
    with torch.no_grad():
        other.backbone.second.bias[0] += 0.01
    assert fingerprint(other.backbone) != fingerprint(network.backbone)
    changed = cached(other, tmp_path)
    assert not torch.equal(changed.backbone(images)[1], network.backbone(images)[1]) and changed.read == 0
    for altered in (images.flip(-1), images * 1.01, images[..., :20], images.transpose(2, 3)):
        cache.computed = 0
        network.backbone(altered)
        assert cache.computed == 6


def test_a_run_with_it_learns_what_a_run_without_it_learns(network, images, tmp_path):
    other = copy.deepcopy(network)
    # without the cache, too, what is frozen computes as in a test
    plain = train(other, images, tmp_path / 'plain', TrainOnlyHook(['head']))
    kept = train(network, images, tmp_path / 'kept', FeatureCacheHook(tmp_path / 'features'))
    assert len(kept) == 9 and kept == pytest.approx(plain, rel=1e-3)
    assert network.backbone.images == 6 and other.backbone.images == 18
    assert 'forward' not in network.backbone.__dict__


@pytest.mark.parametrize(
    ('settings', 'frozen', 'words'),
    [
        (
            dict(module='backbones'),
            True,
            r"module='backbones': found no such module \(did you mean backbone,",
        ),
        ({}, False, r'a backbone that learns \(6 tensors, the first is first\.weight\)'),
    ],
)
def test_what_cannot_be_cached_is_refused(network, tmp_path, settings, frozen, words):
    network.backbone.requires_grad_(not frozen)
    with pytest.raises(UserInputError, match=words):
        FeatureCacheHook(tmp_path, **settings).before_run(SimpleNamespace(model=network))


def test_what_a_killed_run_has_kept_is_read(tmp_path):
    store = FeatureStore(tmp_path)
    arrays = [np.arange(6, dtype=np.float16).reshape(2, 3), np.ones((1, 2, 2), np.float16)]
    store.put('a', arrays)
    store.put('b', arrays[:1])
    store.close()
    index = tmp_path / '000.jsonl'
    index.write_text(index.read_text() + '{"key": "c", "fir')
    with (tmp_path / '000.bin').open('ab') as file:
        file.write(b'half of an arr')
    again = FeatureStore(tmp_path)
    assert len(again) == 2 and 'c' not in again and again.get('c') is None and again.size == store.size == 32
    again.put('c', arrays)  # into a file of its own
    again.close()
    for found, array in zip(FeatureStore(tmp_path).get('c'), arrays, strict=True):
        assert np.array_equal(found, array)
    with (tmp_path / '000.bin').open('r+b') as file:
        file.truncate(18)  # of a, whose line is there, numbers are missing
    assert sorted(FeatureStore(tmp_path)._where) == ['c']


def test_a_damaged_index_is_one_sentence(tmp_path):
    store = FeatureStore(tmp_path)
    for key in 'ab':
        store.put(key, [np.zeros(2, np.float16)])
    store.close()
    index = tmp_path / '000.jsonl'
    for damage in (
        '[]',
        '{"key": "a", "first": -1, "shapes": [[2]]}',
        '{"key": "a", "first": 0, "shapes": 7}',
        'x',
    ):
        lines = index.read_text().splitlines()
        index.write_text('\n'.join([damage, lines[1]]))
        with pytest.raises(UserInputError, match=r'000\.jsonl line 1: found something else .*; remove'):
            FeatureStore(tmp_path)


def test_two_processes_share_what_they_keep(tmp_path):
    one, two = FeatureStore(tmp_path), FeatureStore(tmp_path)
    one.put('a', [np.zeros(2, np.float16)])
    two.put('b', [np.ones(2, np.float16)])
    one.close()
    two.close()
    assert 'b' not in one
    one.refresh()
    assert one.get('b')[0].tolist() == [1, 1] and len(list(tmp_path.glob('*.bin'))) == 2


def test_on_a_full_disk_the_rest_is_computed_and_said_once(network, images, tmp_path, cached, monkeypatch):
    said = []
    cache = cached(network, tmp_path, said=said)
    network.backbone(images[:2])

    def full(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(FeatureStore, 'put', full)
    plain = cache._plain(images)
    for _ in range(2):
        torch.testing.assert_close(network.backbone(images)[1], plain[1], rtol=2**-10, atol=1e-6)
    assert (cache.read, cache.computed) == (4, 2 + 4 + 4)
    assert len(said) == 1 and 'No space left' in said[0]


class Full:
    """A file on a disk that takes seven bytes at a time, and in the end no more."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, content):
        if not self.room:
            raise OSError(errno.ENOSPC, 'No space left on device')
        count = min(7, self.room, len(content))
        self.room -= count
        return self.file.write(content[:count])

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize(('numbers', 'line'), [(30, 1000), (1000, 20)])
def test_what_a_full_disk_took_in_part_is_taken_back(tmp_path, numbers, line):
    store, array = FeatureStore(tmp_path), np.arange(20, dtype=np.float16)
    store.put('a', [array])
    store._bin, store._index = Full(store._bin, numbers), Full(store._index, line)
    with pytest.raises(OSError, match='No space'):
        store.put('b', [array])
    store._bin, store._index = store._bin.file, store._index.file
    store.put('c', [array + 1])
    store.close()
    again = FeatureStore(tmp_path)
    assert len(again) == 2 and 'b' not in again
    assert again.get('a')[0].tolist() == array.tolist() and again.get('c')[0][0] == 1


def test_a_file_that_takes_a_part_at_a_time_has_all_in_the_end(tmp_path):
    store, array = FeatureStore(tmp_path), np.arange(20, dtype=np.float16)
    store.put('a', [array])
    store._bin = Full(store._bin, 1000)
    store.put('b', [array + 2])
    store._bin = store._bin.file
    store.close()
    assert FeatureStore(tmp_path).get('b')[0].tolist() == (array + 2).tolist()


def test_the_limit_of_disk(network, images, tmp_path, cached):
    said = []
    cache = cached(network, tmp_path, limit=1e-6, said=said)  # a thousand bytes
    network.backbone(images)
    network.backbone(images)
    assert cache.store.size < 2500 and cache.read == len(cache.store) == 1 and 'limit_gb=1e-06' in said[0]


def test_what_a_frozen_neck_makes_of_maps(tmp_path, cached):
    """One map of three, by the content of all three; a change in the finest alone is another image."""
    neck = MultiscaleFusion(in_channels=(2, 3, 4), out_channels=5, with_coordinates=True).requires_grad_(
        False
    )
    maps = [torch.rand(3, c, side, side) for c, side in ((2, 16), (3, 8), (4, 4))]
    plain = neck.eval().forward_vision(maps)
    cache = cached(SimpleNamespace(backbone=neck), tmp_path)
    first, again = neck.forward_vision(maps), neck.forward_vision([x[[2, 0]] for x in maps])
    assert (cache.computed, cache.read) == (3, 2)
    torch.testing.assert_close(first, plain, atol=1e-3, rtol=1e-3)
    assert torch.equal(again, first[[2, 0]])
    changed = [maps[0] + 1, *maps[1:]]
    assert not torch.allclose(neck.forward_vision(changed), first, atol=1e-3)
    assert cache.computed == 6
    index = torch.tensor([0, 0, 2])
    assert neck.fuse(first, torch.rand(3, 5), index)[0].shape == (3, 5, 4, 4)
    cache.remove()
    assert torch.equal(neck.forward_vision(maps), plain)
