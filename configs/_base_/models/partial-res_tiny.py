# Partial-RES at a size that trains on two CPU cores in minutes: 128 x 128 images, about 1.5 M parameters. What differs
# from the full size, so that a network which has seen no other images learns at all, says configs/partial_res/README.md.
pad_divisor = 32

model = dict(
    type='SeqTR',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[128.0, 128.0, 128.0],
        std=[64.0, 64.0, 64.0],
        bgr_to_rgb=True,
        pad_size_divisor=pad_divisor,
    ),
    backbone=dict(
        type='DarkNet53',
        base_channels=8,
        stage_blocks=(1, 1, 1, 1),
        neck_blocks=1,
        out_indices=(4, 6, 11),  # strides 4, 8, 16
        frozen_layers=0,
    ),
    language_model=dict(
        type='GRUEncoder',
        vocabulary=dict(ann_file='data/annotations/refshapes_small/instances.json', max_tokens=16),
        max_tokens=16,
        embed_dims=128,
        hidden_dims=128,
        batch_norm=True,
    ),
    neck=dict(
        type='MultiscaleFusion',
        in_channels=(32, 64, 128),
        out_channels=256,
        with_coordinates=True,
        downsample='unshuffle',
        residual=True,
    ),
    head=dict(
        type='SeqTRHead',
        # codec: the data set's, see the config that joins the two
        in_channels=256,
        embed_dims=128,
        num_heads=4,
        feedforward_channels=256,
        num_encoder_layers=2,
        num_decoder_layers=2,
        dropout=0.0,
        with_box=False,
        with_mask=True,
        language_token=True,
        task_prompt=True,
        co_content=True,
        point_modulation=True,
        position_in_content=True,
        loss=dict(type='SequenceLabelSmoothingLoss', smoothing=0.1),
    ),
)
