"""A published SeqTR REC checkpoint, converted by the tool, runs, and starts Partial-RES as in its recipe."""

import shutil

import numpy as np
import pytest
import torch
from golden_seqtr import golden_model, load_golden, original_weights
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint
from test_tools.conftest import Tools

from mmrefseg.datasets.vocabulary import SPECIAL_WORDS
from mmrefseg.engine.hooks.checkpoint_hooks import compare_state_dicts

# What Partial-RES adds to SeqTR's network.
ADDED = ('head.task_prompt.', 'point_modulation.', 'head.decoder.position.')


@pytest.fixture(scope='module')
def published(tmp_path_factory, golden_dir):
    """The converted checkpoint of a data-parallel run with a moving average: 420 MB, gone afterwards."""
    folder = tmp_path_factory.mktemp('published')
    average = {f'module.{key}': value for key, value in original_weights(golden_dir, 'A_seqtr_rec').items()}
    raw = {key: torch.zeros((), dtype=value.dtype).expand(value.shape) for key, value in average.items()}
    torch.save({'state_dict': raw, 'ema_state_dict': average, 'epoch': 59}, folder / 'det_best.pth')
    (folder / 'words.txt').write_text('\n'.join([*SPECIAL_WORDS, *(f'word{i}' for i in range(497))]))
    files = (folder / 'det_best.pth', folder / 'rec.pth', '--vocab', folder / 'words.txt')
    Tools(folder).succeed('model_converters/seqtr.py', *files)
    (folder / 'det_best.pth').unlink()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope='module')
def partial_res(golden_dir):
    return load_golden(golden_dir, 'D_partial_res_ray12')


def test_config_beside_the_checkpoint_gives_the_originals_boxes(published, partial_res, golden_dir):
    """From the two files alone, by the model's own predict, in the images' own frame."""
    golden = np.load(golden_dir / 'seqtr' / 'A_seqtr_rec_scaled.npz')
    config = Config.fromfile(published / 'rec.py')
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(config.model).eval()
    load_checkpoint(model, config.load_from, strict=True)
    assert len(model.language_model.vocabulary) == 500
    model.language_model.tokenize = lambda _: partial_res.token_ids
    with torch.no_grad():
        samples = model.predict(partial_res.images, partial_res.samples())
    ours = torch.cat([sample.pred_instances.bboxes for sample in samples]).numpy()
    theirs = golden['pred_bboxes_rescale_f64']
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


def test_rec_checkpoint_starts_partial_res(published, partial_res):
    """Everything but what Partial-RES adds comes from it; with that, the tokens are the original's."""
    expected, arrays = partial_res.model.state_dict(), partial_res.arrays
    torch.manual_seed(0)
    model = golden_model(partial_res.config).eval()
    added = {key: value for key, value in expected.items() if any(part in key for part in ADDED)}
    assert len(added) == 1 + 18 + 1
    model.load_state_dict(added, strict=False)
    assert not torch.equal(model.head.token_embedding.weight, expected['head.token_embedding.weight'])

    checkpoint = torch.load(published / 'rec.pth', weights_only=True, mmap=True)['state_dict']
    report = compare_state_dicts(model.state_dict(), checkpoint)
    assert set(report.missing) == {key for key in added if 'position' not in key}
    assert report.unexpected == ()
    assert report.mismatched == ('head.decoder.position.weight: (5, 256) -> (25, 256)',)

    load_checkpoint(model, str(published / 'rec.pth'))  # as tools/train.py --load-from does
    for key, value in model.state_dict().items():
        assert torch.equal(value, expected[key]), key
    with torch.no_grad():
        language = model.language_model(partial_res.token_ids)
        fused, token = model.neck(model.extract_feat(partial_res.images), language)
        memory = model.head.encode(fused, token, partial_res.sizes)
        out = model.head.predict(memory, keep_logits=True).masks
    assert (out.tokens.numpy() == arrays['seq_out_mask']).all()
    logits = torch.from_numpy(arrays['logits'])
    assert (out.logits - logits).abs().max() <= 1e-4 * logits.abs().max()
