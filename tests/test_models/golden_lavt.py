"""The goldens of LAVT-RIS and LAVT-pytorch: the originals' weights in our modules, and what they computed."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from golden_seqtr import reference_weights
from mmdet.registry import MODELS
from PIL import Image

from mmrefseg.checkpoints.from_lavt import LAVTNetwork, expected_lavt
from mmrefseg.models.language_models.token_batch import TokenBatch
from mmrefseg.models.layers.swin import WindowAttention, relative_position_index

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ORIGINALS = {'lavt': 'LAVT-RIS lavt', 'lavtone': 'LAVT-RIS lavt_one', 'lavtpt': 'LAVT-pytorch'}
SPECS = {
    'lavt_tiny_w7': 'lavt_tiny_w7.model',
    'lavt_tiny_w7_mha4': 'lavt_tiny_w7_mha.model',
    'lavt_base_w12': 'lavt_base_w12.model',
    'lavtone_tiny_w7': 'lavtone_tiny_w7.model',
    'lavtone_base_w12': 'lavtone_base_w12.model',
    'lavtpt_small': 'lavtpt_small',
    'lavtpt_base_w7': 'lavtpt_swin_base_patch4_window7_224',
}


@dataclass
class Golden:
    """One network: our model with its weights, and where its numbers are."""

    network: LAVTNetwork
    report: object
    model: torch.nn.Module
    folder: Path

    def arrays(self, name: str, kind: str) -> dict[str, np.ndarray]:
        """The arrays of ``<name>.<kind>.npz``."""
        return dict(np.load(self.folder / (f'{name}.{kind}.npz' if kind else f'{name}.npz')))

    def floor(self, name: str) -> dict[str, float]:
        """How far the original's own fp32 is from its fp64, per stage."""
        return json.loads((self.folder / f'{name}.fp32_floor.json').read_text())


def read_spec(folder: Path, name: str) -> dict:
    return json.loads((folder / f'spec_{name}.json').read_text())


def make_state(
    golden_dir: Path, spec: str, bert: bool = True, known: dict | None = None
) -> dict[str, torch.Tensor]:
    """Reference weights of a key list, fixed buffers (zeros) included.

    Args:
        bert: Whether BERT's weights are wanted; otherwise they are zeros.
        known: Weights made before; those of the same name and shape are taken from here.
    """
    make_array, state = reference_weights(golden_dir).make_array, {}
    for key, (shape, dtype) in read_spec(golden_dir / 'lavt', spec).items():
        text = 'bert_model' in spec or key.startswith(('text_encoder.', 'textEncoder.'))
        if known and key in known and list(known[key].shape) == shape:
            state[key] = known[key]
        elif text and not bert:
            state[key] = torch.zeros(1).expand(shape)
        elif key.startswith(('text_encoder.pooler', 'textEncoder.pooler')):
            state[key] = torch.zeros(shape)
        else:
            state[key] = torch.from_numpy(make_array(key, shape, dtype))
    return state


def make_network(
    golden_dir: Path, spec: str, mha: str = '', bert: bool = True, known: dict | None = None
) -> LAVTNetwork:
    """What :func:`read_lavt` would find in the original's checkpoint; see :func:`make_state`."""
    original = ORIGINALS[spec.split('_')[0]]
    state = make_state(golden_dir, SPECS[spec], bert, known)
    if original == 'LAVT-RIS lavt':
        weights = make_state(golden_dir, 'lavt.bert_model', bert)
        state |= {f'bert_model.{key}': value for key, value in weights.items()}
    return LAVTNetwork(original, state, {'mha': mha})


def build_model(settings: dict, vocab_file: Path, **bert) -> torch.nn.Module:
    """Our model of some settings, without memory for its weights."""
    language = settings['language_model']
    language = dict(language, vocab_file=str(vocab_file), config=dict(language['config'], **bert))
    with torch.device('meta'):
        return MODELS.build(
            dict(
                type='LAVT',
                backbone=dict(settings['backbone']),
                language_model=language,
                decode_head=dict(settings['decode_head']),
            )
        )


def load_golden(
    golden_dir: Path, spec: str, mha: str = '', bert: bool = True, known: dict | None = None, **config
) -> Golden:
    """Build the model, bring the reference weights in through the converter."""
    network = make_network(golden_dir, spec, mha, bert, known)
    settings = network.model_settings()
    report = network.convert(expected_lavt(settings))
    vocab = golden_dir.parent / 'vocab' / 'bert-base-uncased-vocab.txt'
    model = build_model(settings, vocab, **config)
    model.load_state_dict(report.state, assign=True)
    fill_buffers(model)
    return Golden(network, report, model.eval(), golden_dir / 'lavt')


def fill_buffers(model: torch.nn.Module) -> None:
    """The fixed buffers, which are in no checkpoint."""
    for module in model.modules():
        if isinstance(module, WindowAttention):
            module.index = relative_position_index(module.window_size)
    embeddings = model.language_model.bert.embeddings
    length = embeddings.position_embeddings.num_embeddings
    embeddings.position_ids = torch.arange(length)[None]
    embeddings.token_type_ids = torch.zeros(1, length, dtype=torch.long)


def resized(image: Image.Image, size: int) -> Image.Image:
    """A square image as Pillow 13 makes it, with which the goldens were made: width first, rounded, then
    height, but height first where it alone shrinks. Before 13 it was always the width."""
    for axis in (1, 0) if image.height > size >= image.width else (0, 1):
        shape = [*image.size]
        shape[axis] = size
        image = image.resize(tuple(shape), Image.Resampling.BILINEAR)
    return image


def normalise(raw: np.ndarray, size: int) -> torch.Tensor:
    """An image (H, W, 3) RGB uint8 as the originals give it to the network: (3, size, size) float32."""
    image = np.asarray(resized(Image.fromarray(raw), size))
    image = torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255
    return (image - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def read_images(io: dict, size: int) -> torch.Tensor:
    raws = [io[key] for key in sorted(io) if key.startswith('raw_image')]
    return torch.stack([normalise(raw, size) for raw in raws])


def read_tokens(io: dict) -> TokenBatch:
    return TokenBatch(torch.from_numpy(io['token_ids']), torch.from_numpy(io['attention_mask']).bool())
