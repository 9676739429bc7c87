# Partial-RES's head on encoders of Hugging Face's transformers: box and contour in one sequence, so that a single
# training learns from all boxes and from the masks there are. A config names the encoders: model.backbone.model and
# model.language_model.model, folders or names in Hugging Face's cache (docs/encoders.md).
channels = 1024

model = dict(
    type='SeqTR',
    # Images are RGB in 0..255: the encoder normalises them as its model was trained.
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=None, std=None, bgr_to_rgb=True, pad_size_divisor=32
    ),
    # The maps of a network of stages (ConvNeXt-B, Swin-B) have these channels already.
    backbone=dict(type='HFBackbone', strides=(8, 16, 32), out_channels=(256, 512, channels), frozen=False),
    language_model=dict(
        type='HFTextEncoder', output='sentence', out_channels=channels, max_tokens=40, frozen=False
    ),
    neck=dict(type='MultiscaleFusion', in_channels=(256, 512, channels), out_channels=channels),
    head=dict(
        type='SeqTRHead',
        # codec: the data set's
        in_channels=channels,
        embed_dims=256,
        num_heads=8,
        feedforward_channels=1024,
        num_encoder_layers=6,
        num_decoder_layers=3,
        dropout=0.1,
        with_box=True,
        with_mask=True,
        language_token=True,
        task_prompt=False,  # a sequence that begins with a box has none
        co_content=True,
        point_modulation=True,
        loss=dict(type='SequenceLabelSmoothingLoss', smoothing=0.1),
    ),
)
