"""Folders as Hugging Face's models come in: small, with random weights."""

import json

import torch
from transformers import AutoConfig, AutoModel

VIT = dict(
    hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=64,
    patch_size=16,
)  # fmt: skip
RATIO = {key: value for key, value in VIT.items() if key != 'intermediate_size'}
TEXT = dict(
    vocab_size=64, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
    max_position_embeddings=24, pad_token_id=0, bos_token_id=2, eos_token_id=3,
)  # fmt: skip
STAGES = dict(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1])
WORDS = ['the', 'red', 'blue', 'star', 'circle', 'left', 'of']


def save_model(folder, model_type, statistics=None, **fields):
    """A folder with config and weights, and with the mean and deviation of pixels; the model in it."""
    torch.manual_seed(0)
    model = AutoModel.from_config(AutoConfig.for_model(model_type, **fields)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    if statistics:
        content = dict(image_mean=[statistics[0]] * 3, image_std=[statistics[1]] * 3)
        (folder / 'preprocessor_config.json').write_text(json.dumps(content))
    return model
