# BoxFrame, this package's own method (docs/extended.md), while it learns from boxes; the stages with masks put
# BoxFrameHead in place of the head. Up to the head's encoder it is partial-res_tiny.py: both start from one checkpoint.
num_bins = 128
pad_divisor = 32

# RefShapes' ten shapes have the category ids 1 to 10.
category_head = dict(type='CellCategoryHead', in_channels=256, num_categories=11)
word_head = dict(type='WordHead', in_channels=256)
fused_cell_head = dict(type='BoxCellHead', features='fused', in_channels=256, loss_weight=3.0)
encoded_cell_head = dict(type='BoxCellHead', features='encoded', in_channels=128, loss_weight=6.0)

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
        with_box=True,
        with_mask=False,
        language_token=True,
        co_content=True,
        point_modulation=True,
        position_in_content=True,
        loss=dict(type='SequenceGaussianLabelLoss', num_bins=num_bins, sigma=2.5),
    ),
    auxiliary_heads=[category_head, word_head, fused_cell_head, encoded_cell_head],
)
