"""Configs of Hugging Face's encoders with small random ones of the same types in place of the published."""

from typing import Any

from mmrefseg.experiments.encoder_trials import IMAGE_ENCODERS, TEXT_ENCODERS

# Channels are an eighth of the published ones'.
STAGES = {'convnext': dict(hidden_sizes=[16, 32, 64, 128]), 'swin': dict(embed_dim=16)}
PUBLISHED = {
    kind: {name: model_type for model_type, (name, _) in table.items() if name}
    for kind, table in (('image', IMAGE_ENCODERS), ('text', TEXT_ENCODERS))
}


def in_small(node: Any, tokenizer: str, share: int = 8) -> Any:
    """A part of a config with small encoders.

    Args:
        node: Any part of a config; copied.
        tokenizer: Folder of a tokenizer for text encoders.
        share: Numbers of channels are divided by it.
    """
    if isinstance(node, list | tuple):
        return [in_small(item, tokenizer, share) for item in node]
    if not isinstance(node, dict):
        return node
    made = {}
    for key, value in node.items():
        if key in ('in_channels', 'out_channels'):
            value = value // share if isinstance(value, int) else [c // share for c in value]
        made[key] = in_small(value, tokenizer, share)
    if isinstance(node.get('model'), str):
        made |= _small(node, tokenizer)
    return made


def _small(node: dict, tokenizer: str) -> dict:
    text = node.get('type') == 'HFTextEncoder'
    kind = PUBLISHED['text' if text else 'image'][node['model']]
    fields = (TEXT_ENCODERS if text else IMAGE_ENCODERS)[kind][1]
    config = dict(model_type=kind, **{**fields, **STAGES.get(kind, {}), **(node.get('config') or {})})
    return dict(model=None, config=config, **(dict(tokenizer=tokenizer) if text else {}))
