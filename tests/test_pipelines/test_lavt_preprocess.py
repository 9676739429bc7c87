"""From a file to LAVT's network: the pixels that the original gives to its own."""

import numpy as np
import pytest
from mmdet.registry import MODELS
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from PIL import Image

from mmrefseg.runs.config import load_config


@pytest.mark.parametrize('kind', ['train', 'demo'])
def test_preprocessing(kind, golden_dir, repo_root, tmp_path):
    """The config's stretching to 480 x 480, and the short side at 480 of the original's demo."""
    init_default_scope('mmdet')
    golden = np.load(golden_dir / 'lavt' / 'lavt_preprocess.npz')
    Image.fromarray(golden['image']).save(tmp_path / 'image.png')
    config = load_config(str(repo_root / 'configs/lavt/lavt_swin-b-w12_480_refcoco-unc.py'))
    steps = {step['type']: step for step in config.test_dataloader.dataset.pipeline}
    resize, shape = steps['RefResize'], (480, 480)
    if kind == 'demo':
        shape = tuple(golden['demo_shape'][1:])
        resize = {**resize, 'scale': shape[::-1], 'keep_ratio': True}
    pipeline = Compose([steps['LoadRefImage'], resize, dict(type='PackRefInputs', meta_keys=('img_shape',))])
    height, width = golden['image'].shape[:2]
    packed = pipeline(
        dict(img_path=str(tmp_path / 'image.png'), height=height, width=width, instances=[], img_id=1)
    )
    preprocessor = MODELS.build(config.model.data_preprocessor)
    batch = preprocessor(dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']]))
    pixels = batch['inputs'][0].numpy()
    assert pixels.shape == (3, *shape)
    assert np.abs(pixels[:, :48, :48] - golden[f'{kind}_crop']).max() < 2e-6
    ours = pixels.astype(np.float64)
    stats = [ours.mean(), ours.std(ddof=1), ours.min(), ours.max(), np.abs(ours).mean()]
    assert np.abs(np.array(stats) - golden[f'{kind}_stats_f64']).max() < 2e-6
