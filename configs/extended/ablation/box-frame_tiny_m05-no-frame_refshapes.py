# Ablation (5 % of the masks): SeqTR's multi-task head: the contour behind the box, from the memory of the whole image.
_base_ = '../box-frame_tiny_m100_refshapes.py'
model = dict(
    head=dict(
        _delete_=True,
        type='SeqTRHead',
        codec={{_base_.codec}},
        in_channels=256,
        embed_dims=128,
        num_heads=4,
        feedforward_channels=256,
        num_encoder_layers=2,
        num_decoder_layers=2,
        dropout=0.0,
        with_box=True,
        with_mask=True,
        language_token=True,
        co_content=True,
        point_modulation=True,
        position_in_content=True,
        loss=dict(type='SequenceGaussianLabelLoss', num_bins=128, sigma=2.5),
    )
)
train_dataloader = dict(dataset=dict(ann_file='annotations/refshapes_small/instances_sample_5.json'))
train_cfg = {{_base_.few_masks_loop}}
optim_wrapper = {{_base_.few_masks}}
param_scheduler = {{_base_.few_masks_rate}}
