# ConvNeXt-B's recipe on COCO (facebookresearch/ConvNeXt, object_detection:
# cascade_mask_rcnn_convnext_base_..._3x_coco_in22k): 16 images a step, 36 epochs. Its decay of 0.8 is from one group of
# three blocks to the next; here a stage is a layer, so that the first ones learn faster than there.
max_iters = 265500
lr = 1e-4
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='LayerDecayConstructor',
    optimizer=dict(type='AdamW', lr=lr, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(
        layer_decay=0.8,
        norm_decay_mult=0.0,
        custom_keys={'norm': dict(decay_mult=0.0)},
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=max_iters, milestones=[199125, 243375], gamma=0.1),
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
