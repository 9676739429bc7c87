# LAVT at a size that trains on two CPU cores in minutes: 96 x 96 pixels, about 1 M parameters, learned words.
model = dict(
    type='LAVT',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[128.0, 128.0, 128.0], std=[64.0, 64.0, 64.0], bgr_to_rgb=True
    ),
    backbone=dict(
        type='LanguageSwin',
        embed_dims=32,
        # 24 x 24, 12 x 12 and 6 x 6 cells. The first stage is shared by the sentences of a picture; in the last one a
        # window is the whole picture: that is where relations are understood.
        depths=(2, 1, 4),
        num_heads=(2, 4, 4),
        window_size=6,
        mlp_ratio=2.0,
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
        channels=24,
        loss=dict(type='PixelCrossEntropyLoss'),
        dice_loss=dict(type='DiceLoss', activate=False, eps=1.0),
    ),
    # tools/test.py --options protocol=cat or avg, frame=network changes these two as well.
    test_cfg=dict(sentences='each', frame='original'),
)
