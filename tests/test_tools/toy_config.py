"""A whole run in a second: real data set, pipeline, metric and hooks, toy model; data in TOY_DATA."""

_base_ = '../../configs/_base_/default_runtime.py'

data_root = '{{$TOY_DATA:data}}/'
load = [dict(type='LoadRefImage'), dict(type='DrawExpression')]
pack = [dict(type='PackRefInputs')]
dataset = dict(
    type='RefSegDataset',
    data_root=data_root,
    ann_file='instances.json',
    data_prefix=dict(img_path='images'),
    img_template='{}.png',
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        split='train',
        pipeline=[*load, dict(type='LoadRefAnnotations'), dict(type='RefResize', scale=(64, 64)), *pack],
    ),
)
val_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        split='val',
        test_mode=True,
        pipeline=[*load, dict(type='RefResize', scale=(64, 64)), dict(type='LoadRefAnnotations'), *pack],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='RESMetric')
test_evaluator = val_evaluator

model = dict(type='ToyRefModel', data_preprocessor=dict(type='DetDataPreprocessor', pad_size_divisor=32))

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=3, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.02))
param_scheduler = [dict(type='MultiStepLR', milestones=[2], gamma=0.5)]

default_hooks = dict(checkpoint=dict(save_best='res/miou'))
custom_hooks = [dict(type='EMAHook', momentum=0.1)]
custom_imports = dict(
    imports=['mmrefseg.registration', 'toy_model', 'threads_left'], allow_failed_imports=False
)
randomness = dict(seed=3)
