# All masks: the ceiling, and what the other stages inherit.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/box-frame_tiny.py',
    '../_base_/datasets/refshapes.py',
    '../_base_/schedules/refshapes.py',
]
# The boxes-only network that comes with the package; its config is box-frame_tiny_rec_refshapes.py.
load_from = 'mmrefseg://rec_tiny_refshapes'
max_epochs = 2
lr = 9e-4
model = dict(
    head=dict(
        type='BoxFrameHead',
        codec={{_base_.codec}},
        with_mask=True,
        map_channels=(32, 64),
        mask_weight=3.0,
        mask_cell_head=dict(type='MaskCellHead', loss_weight=3.0),
    )
)
train_dataloader = dict(batch_size=8)
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(
    optimizer=dict(lr=lr),
    # what decodes contours starts from nothing, and the decoder from boxes
    paramwise_cfg=dict(
        custom_keys={
            'backbone': dict(lr_mult=2.0),
            'neck': dict(lr_mult=2.0),
            'head.roi_memory': dict(lr_mult=4.0),
            'head.mask_cell_head': dict(lr_mult=4.0),
            'head.decoder': dict(lr_mult=2.0),
            'head.predictor': dict(lr_mult=2.0),
            'head.token_embedding': dict(lr_mult=2.0),
            'head.task_embedding': dict(lr_mult=2.0),
        }
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min_ratio=0.02, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(save_best='res/miou'))

# What the configs with few masks take instead: each contour counts, so what reads and decodes them learns faster still,
# and the backbone, which has seen all boxes, moves less.
few_masks = dict(
    optimizer=dict(lr=8e-4),
    paramwise_cfg=dict(
        custom_keys={
            'backbone': dict(lr_mult=1.0),
            'neck': dict(lr_mult=1.0),
            'head.roi_memory': dict(lr_mult=6.0),
            'head.mask_cell_head': dict(lr_mult=6.0),
        }
    ),
)
few_masks_loop = dict(max_epochs=7, val_interval=7)
few_masks_rate = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=40),
    dict(type='CosineAnnealingLR', T_max=7, eta_min_ratio=0.02, convert_to_iter_based=True),
]
