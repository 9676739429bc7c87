# Late LAVT on RefShapes: two CPU cores, no pretrained weights, all masks.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/late-lavt_tiny.py',
    '../_base_/datasets/refshapes.py',
    '../_base_/schedules/refshapes.py',
]
max_epochs = 5
lr = 1.5e-3

train_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='LoadRefAnnotations'),
    dict(type='RefResize', scale=_base_.image_size),
    dict(type='PackRefInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(
    optimizer=dict(lr=lr),
    paramwise_cfg=dict(
        _delete_=True,
        # convolutions with batch norms, and what they are taught by, bear a larger step than attention does
        custom_keys={
            name: dict(lr_mult=3.0)
            for name in (
                'backbone.convs',
                'decode_head',
                'auxiliary_heads.category',
                'language_model.visual',
            )
        },
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min=lr / 50, convert_to_iter_based=True),
]
# twice the steps an epoch, half the weight of each
custom_hooks = [
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.008, gamma=50, interval=4, update_buffers=True)
]
default_hooks = dict(checkpoint=dict(save_best='res/miou'))
