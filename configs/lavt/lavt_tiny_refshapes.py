# LAVT on RefShapes: two CPU cores, no pretrained weights, all masks.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/lavt_tiny.py',
    '../_base_/datasets/refshapes.py',
    '../_base_/schedules/refshapes.py',
]
max_epochs = 8
lr = 1.5e-3
image_size = (96, 96)  # of 128 x 128: half the work, and masks lose less than training longer gains

train_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='LoadRefAnnotations'),
    dict(type='RefResize', scale=image_size),
    dict(type='PackRefInputs'),
]
test_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='RefResize', scale=image_size),
    dict(type='LoadRefAnnotations'),
    dict(type='PackRefInputs'),
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=lr))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min=lr / 50, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(save_best='res/miou'))
