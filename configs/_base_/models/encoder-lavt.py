# LAVT on encoders of Hugging Face's transformers: gates in the stages of those that have such, late gates on the maps of
# others (docs/encoders.md). A config names the encoders: model.backbone.encoder.model and model.language_model.model,
# folders or names in Hugging Face's cache.
# Those of Swin-B and ConvNeXt-B; from the one map of a plain transformer a pyramid makes them.
channels = (128, 256, 512, 1024)

model = dict(
    type='LAVT',
    # Images are RGB in 0..255: the encoder normalises them as its model was trained.
    data_preprocessor=dict(type='DetDataPreprocessor', mean=None, std=None, bgr_to_rgb=True),
    backbone=dict(
        type='HFLanguageBackbone',
        encoder=dict(type='HFBackbone', strides=(4, 8, 16, 32), frozen=False),
        language_channels=768,
    ),
    language_model=dict(type='HFTextEncoder', max_tokens=20, frozen=False),
    decode_head=dict(
        type='LAVTHead',
        in_channels=channels,
        channels=512,
        loss=dict(type='PixelCrossEntropyLoss'),
    ),
    # tools/test.py --options protocol=cat or avg, frame=network changes these two as well.
    test_cfg=dict(sentences='each', frame='original', chunk_size=8),
)
