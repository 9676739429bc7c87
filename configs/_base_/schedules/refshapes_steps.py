# As many steps whatever the annotation file holds: a config with 1 % of the masks trains as long as one with all.
max_iters = 500
lr = 6e-4
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='MergedGroupsConstructor',
    optimizer=dict(type='AdamW', lr=lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    # what decodes comes from boxes: contours are new to it
    paramwise_cfg=dict(
        custom_keys={
            'head.decoder': dict(lr_mult=4.0),
            'head.predictor': dict(lr_mult=4.0),
            'head.token_embedding': dict(lr_mult=4.0),
            'head.task_prompt': dict(lr_mult=4.0),
        }
    ),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min_ratio=0.02, by_epoch=False),
]
custom_hooks = [
    # every fourth step: averaging 200 tensors takes a tenth of a step this small
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.016, gamma=25, interval=4, update_buffers=True)
]
