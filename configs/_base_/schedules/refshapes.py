# Minutes on two CPU cores. A config sets max_epochs and lr; the rest follows from them.
max_epochs = 8
lr = 1.4e-3
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=max_epochs)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='MergedGroupsConstructor',
    optimizer=dict(type='AdamW', lr=lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    # convolutions with batch norms bear a larger step than attention does
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=3.0), neck=dict(lr_mult=3.0))),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=150),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min_ratio=0.02, convert_to_iter_based=True),
]
custom_hooks = [
    # every fourth step: averaging 200 tensors takes a tenth of a step this small
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.016, gamma=25, interval=4, update_buffers=True)
]
