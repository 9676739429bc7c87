# Swin-B's recipe on COCO in detectron2's projects/ViTDet (cascade_mask_rcnn_swin_b_in21k_50ep): 64 images a step, 92,187
# steps (50 epochs), one rate for all layers.
max_iters = 92187
lr = 4e-5
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='LayerDecayConstructor',
    optimizer=dict(type='AdamW', lr=lr, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys={'norm': dict(decay_mult=0.0), 'relative_position_bias_table': dict(decay_mult=0.0)},
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=250),
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=max_iters, milestones=[81944, 88773], gamma=0.1),
]
auto_scale_lr = dict(enable=False, base_batch_size=64)
