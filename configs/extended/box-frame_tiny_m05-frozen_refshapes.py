# What masks add to a network that knows boxes, from 5 % of them: the box's features and its cells. All else stays as
# the boxes-only weights of the package have it, so boxes are exactly theirs. Contours are read from the cells.
_base_ = './box-frame_tiny_m100_refshapes.py'
load_from = 'mmrefseg://rec_tiny_refshapes'
max_epochs = 12
model = dict(
    # what only teaches frozen weights
    auxiliary_heads=[],
    head=dict(
        jitters=2,
        mask_weight=0.0,
        contours_from='cells',
        # a box starts from zeros, as in the boxes-only network
        init_cfg=dict(type='Constant', val=0.0, override=dict(name='task_embedding')),
    ),
)
train_dataloader = dict(dataset=dict(ann_file='annotations/refshapes_small/instances_sample_5.json'))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = {{_base_.few_masks}}
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=40),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min_ratio=0.02, convert_to_iter_based=True),
]
custom_hooks = [
    dict(
        type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.016, gamma=25, interval=4, update_buffers=True
    ),
    dict(type='TrainOnlyHook', modules=['head.roi_memory', 'head.mask_cell_head']),
]
