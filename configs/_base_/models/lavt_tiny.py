# LAVT at a size that trains on two CPU cores in minutes: 128 x 128 pictures, about 1 M parameters, learned words.
model = dict(
    type='LAVT',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[128.0, 128.0, 128.0], std=[64.0, 64.0, 64.0], bgr_to_rgb=True
    ),
    backbone=dict(
        type='LanguageSwin',
        embed_dims=32,
        depths=(2, 2, 2),
        num_heads=(2, 4, 8),
        window_size=8,
        language_channels=128,
        conv_stem=True,
        shift_single_window=False,
    ),
    language_model=dict(
        type='WordEncoder',
        vocabulary=dict(ann_file='data/annotations/refshapes_small/instances.json', max_tokens=16),
        max_tokens=16,
        embed_dims=64,
        hidden_dims=64,
    ),
    decode_head=dict(
        type='LAVTHead',
        in_channels=(32, 64, 128),
        channels=32,
        loss=dict(type='PixelCrossEntropyLoss'),
        dice_loss=dict(type='DiceLoss', activate=False, eps=1.0),
    ),
)
