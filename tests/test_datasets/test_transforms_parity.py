"""The pipelines against what the original SeqTR and Partial-RES made of the same images and random
numbers."""

import copy
import json
import random
import zlib
from collections import Counter

import numpy as np
import pycocotools.mask as mask_utils
import pytest
import torch
from mmdet.models import DetDataPreprocessor

import mmrefseg.registration  # noqa: F401
from mmrefseg.codecs.contour_codec import ContourCodec
from mmrefseg.datasets.transforms import (
    EncodeContour,
    LargeScaleJitter,
    LoadRefAnnotations,
    PackRefInputs,
    RefResize,
)

ORIGINALS = ('seqtr', 'partial')
GAVE_UP = 1001  # draws of a sample for which no window kept enough


@pytest.fixture
def sources(golden_dir):
    images = dict(np.load(golden_dir / 'seqtr/F_sources.npz'))
    records = json.loads((golden_dir / 'seqtr/F_sources.json').read_text())['instances']['train']
    return images, records


def load_golden(golden_dir, original):
    arrays = dict(np.load(golden_dir / f'seqtr/F_pipeline_{original}.npz'))
    pipelines = json.loads((golden_dir / f'seqtr/F_pipeline_{original}.json').read_text())['pipelines']
    return arrays, pipelines


def steps_of(pipeline, original, legacy):
    """Our transforms for one of the originals' pipelines."""
    load, resize = pipeline[0], pipeline[1]
    with_bbox = load.get('with_bbox', False)
    steps = [LoadRefAnnotations(with_bbox or original == 'partial', load.get('with_mask', False))]
    if resize['type'] == 'LargeScaleJitter':
        sizes = (resize['out_max_size'], resize['jitter_min'], resize['jitter_max'])
        crop_by = 'bbox' if with_bbox else 'mask'
        steps.append(LargeScaleJitter(*sizes, crop_by=crop_by, legacy=legacy))
    else:
        steps.append(RefResize(tuple(resize['img_scale'])))
    rays = [step['num_ray'] for step in pipeline if step['type'] == 'SampleMaskVertices']
    steps.append(EncodeContour({'type': 'ContourCodec', 'num_points': (rays or [18])[0], 'legacy': legacy}))
    return steps


def run(sample, steps, sources):
    images, records = sources
    index = int(sample['key'][-2:])
    img = images[f'img_bgr_{index:02d}']
    results = {
        'img': img.copy(),
        'img_shape': img.shape[:2],
        'ori_shape': img.shape[:2],
        'instances': [copy.deepcopy(records[index])],
        'rng': random.Random(sample['random_seed']),
    }
    for step in steps:
        results = step(results)
    return results


def network_input(results):
    """What reaches the network: RGB, padded to 32, (3, H, W) uint8."""
    packed = PackRefInputs()(results)
    preprocessor = DetDataPreprocessor(bgr_to_rgb=True, pad_size_divisor=32)
    batch = {'inputs': [packed['inputs']], 'data_samples': [packed['data_samples']]}
    return preprocessor(batch)['inputs'][0].to(torch.uint8).numpy()


def padded(array, shape):
    return np.pad(array, [(0, to - have) for have, to in zip(array.shape, shape, strict=True)])


def golden_tokens(vertices, codec, pad_shape):
    """The original's quantisation of its own vertices (2, P)."""
    side = np.array(pad_shape[1::-1], np.float32)
    tokens = (vertices.T / side * codec.num_bins).astype(np.int64).reshape(-1)
    return np.where(tokens < 0, codec.end_token, tokens)


def check_mask(results, sample, arrays, codec, counts):
    mask = padded(results['gt_masks'].masks[0], sample['img_metas']['pad_shape'][:2])
    rle = mask_utils.encode(np.asfortranarray(mask))
    assert rle['counts'].decode() == sample['gt_mask_rle']['counts'], sample['key']
    assert int(results['gt_multi_part'][0]) == sample['is_crowd']
    counts['masks'] += 1
    vertices = arrays.get(f'{sample["key"]}/gt_mask_vertices')
    if vertices is None:
        return
    sampled = codec.sample_vertices(results['gt_masks'].masks[0])
    np.testing.assert_array_equal(sampled, vertices.T[: len(sampled)], err_msg=sample['key'])
    assert (vertices.T[len(sampled) :] == -1).all()
    expected = golden_tokens(vertices, codec, sample['img_metas']['pad_shape'])
    np.testing.assert_array_equal(results['gt_mask_tokens'][0], expected, err_msg=sample['key'])
    counts['vertices'] += 1


@pytest.mark.parametrize('original', ORIGINALS)
def test_legacy_pipelines_equal_the_originals(golden_dir, sources, original):
    arrays, pipelines = load_golden(golden_dir, original)
    counts = Counter()
    for spec in pipelines.values():
        steps = steps_of(spec['pipeline'], original, legacy=True)
        for sample in spec['samples']:
            key, meta = sample['key'], sample['img_metas']
            results = run(sample, steps, sources)
            assert list(results['img_shape']) == meta['img_shape'][:2], key
            np.testing.assert_allclose(results['scale_factor'], meta['scale_factor'][:2], rtol=1e-6)
            image = network_input(results)
            assert zlib.crc32(image.tobytes()) == sample['img']['crc32_uint8_chw'], key
            np.testing.assert_array_equal(
                image[:, ::16, ::16], arrays[f'{key}/img_stride16_uint8'], err_msg=key
            )
            codec = steps[-1].codec
            if f'{key}/gt_bbox_f64' in arrays:
                box = arrays[f'{key}/gt_bbox_f64']
                np.testing.assert_allclose(results['gt_bboxes'][0], box, rtol=1e-6)
                expected = codec.encode_box(box, meta['pad_shape'])
                np.testing.assert_array_equal(results['gt_bbox_tokens'][0], expected, err_msg=key)
                counts['boxes'] += 1
            if 'gt_mask_rle' in sample:
                check_mask(results, sample, arrays, codec, counts)
            counts['samples'] += 1
    assert counts['samples'] == sum(len(spec['samples']) for spec in pipelines.values()) >= 200
    assert min(counts['boxes'], counts['masks'], counts['vertices']) > 90


@pytest.mark.parametrize('original', ORIGINALS)
def test_right_pipelines_differ_only_where_the_originals_are_wrong(golden_dir, sources, original):
    arrays, pipelines = load_golden(golden_dir, original)
    counts = Counter()
    for name, spec in pipelines.items():
        if 'train' not in name:
            continue
        steps = steps_of(spec['pipeline'], original, legacy=False)
        longest = spec['pipeline'][1].get('out_max_size') or max(spec['pipeline'][1]['img_scale'])
        for sample in spec['samples']:
            key, meta = sample['key'], sample['img_metas']
            results = run(sample, steps, sources)
            assert results['img_shape'] == results['img'].shape[:2], key
            if sample['rng_calls'].get('random.random') == GAVE_UP:
                assert max(results['img_shape']) == longest, 'the plain resize'
                counts['gave up'] += 1
                continue
            assert list(results['img_shape']) == meta['img_shape'][:2], key
            np.testing.assert_array_equal(
                network_input(results)[:, ::16, ::16], arrays[f'{key}/img_stride16_uint8'], err_msg=key
            )
            if 'gt_mask_rle' in sample:
                mask = padded(results['gt_masks'].masks[0], meta['pad_shape'][:2])
                rle = mask_utils.encode(np.asfortranarray(mask))
                assert rle['counts'].decode() == sample['gt_mask_rle']['counts'], key
            if f'{key}/gt_bbox_f64' in arrays:  # moved by whole pixels, as the image is
                assert np.abs(results['gt_bboxes'][0] - arrays[f'{key}/gt_bbox_f64']).max() < 1, key
            counts['same'] += 1
    assert counts['gave up'] >= 1 and counts['same'] > 90


def test_boxes_of_a_record_do_not_change(sources):
    _, records = sources
    record = copy.deepcopy(records[0])
    results = {'ori_shape': (150, 200), 'instances': [record]}
    first = LoadRefAnnotations()(results)['gt_bboxes'].copy()
    assert record == records[0]
    np.testing.assert_array_equal(LoadRefAnnotations()(results)['gt_bboxes'], first)


def test_vertices_of_the_network_inputs_become_the_golden_targets(golden_dir):
    inputs = np.load(golden_dir / 'seqtr/inputs_main.npz')
    targets = np.load(golden_dir / 'seqtr/B_seqtr_res_ray18_scaled.npz')['train_targets']
    codec = ContourCodec(18)
    for row, vertices in enumerate(inputs['gt_mask_vertices_ray18']):
        used = vertices.T[vertices[0] >= 0]
        tokens = codec.encode_vertices(used, tuple(inputs['meta_img_shape'][row]))
        np.testing.assert_array_equal([*tokens, codec.end_token], targets[row])
