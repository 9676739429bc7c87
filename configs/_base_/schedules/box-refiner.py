# A refiner on a frozen network of boxes, for images of 640 pixels. Not tuned: no run at this size was made.
refiner = dict(type='BoxRefiner', size=96, channels=32, depth=4, warmup=2000)
# What the stages with few masks take beside it: objects without one teach by their boxes and colours (0 to 255).
boxes_teach = dict(box_weight=1.0, same_colour=20.0)
max_epochs = 6
lr = 1e-3
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=lr, weight_decay=0.01),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=500),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min_ratio=0.02, convert_to_iter_based=True),
]
custom_hooks = [dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.001, update_buffers=True)]

# What the last stage takes instead, which learns scores alone.
quality = dict(type='QualityHead')
quality_loop = dict(max_epochs=2, val_interval=2)
quality_optimizer = dict(optimizer=dict(lr=2e-3))
quality_rate = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', T_max=2, eta_min_ratio=0.02, convert_to_iter_based=True),
]
