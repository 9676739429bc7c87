# Late LAVT, this package's own network: LAVT's gates, but behind stages that all sentences of an image share, words
# that are matched with cells, and auxiliary losses, so that it learns from scratch on two CPU cores in minutes. 128 x
# 128 pixels, about 1 M parameters, learned words. What differs from LAVT, switch by switch: docs/lavt.md.
channels = 96

model = dict(
    type='LAVT',
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=[128.0, 128.0, 128.0], std=[64.0, 64.0, 64.0], bgr_to_rgb=True
    ),
    backbone=dict(
        type='LateLanguageSwin',
        # 32 x 32, 16 x 16 and 8 x 8 cells for all sentences of an image together, then twice 8 x 8 for each.
        channels=(32, 64, channels, channels, channels),
        depths=(0, 0, 1, 1, 1),
        conv_depths=(1, 1, 1),
        num_heads=4,
        window_size=8,
        mlp_ratio=2.0,
        language_channels=128,
        visual_words=True,
    ),
    language_model=dict(
        type='WordEncoder',
        vocabulary=dict(ann_file='data/annotations/refshapes_small/instances.json', max_tokens=16),
        max_tokens=16,
        embed_dims=64,
        hidden_dims=64,
        visual_dims=channels,
    ),
    decode_head=dict(
        type='SharedLAVTHead',
        shared_channels=(32, 64),
        coarse_channels=(channels, channels, channels),
        channels=(16, 32),
        pixel_weight=10.0,
        cell_weight=2.0,
        dice_loss=dict(type='DiceLoss', activate=False, eps=1.0),
    ),
    auxiliary_heads=[
        # RefShapes' ten shapes have the category ids 1 to 10.
        dict(type='CellCategoryHead', in_channels=channels, num_categories=11),
        dict(type='WordHead', in_channels=channels),
    ],
    # tools/test.py --options protocol=cat or avg, frame=network changes these two as well.
    test_cfg=dict(sentences='each', frame='original'),
)
