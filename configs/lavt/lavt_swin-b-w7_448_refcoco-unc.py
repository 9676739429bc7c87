# LAVT-pytorch's recipe on RefCOCO: 448 x 448, windows of 7.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/lavt-pytorch_swin-b-w7.py',
    '../_base_/datasets/refcoco_480.py',
    '../_base_/schedules/lavt-pytorch_50e.py',
]
load_steps = [dict(type='LoadRefImage'), dict(type='DrawExpression')]
stretch = dict(type='RefResize', scale=(448, 448), keep_ratio=False, backend='pillow')
train_pipeline = [*load_steps, dict(type='LoadRefAnnotations'), stretch, dict(type='PackRefInputs')]
test_pipeline = [*load_steps, stretch, dict(type='LoadRefAnnotations'), dict(type='PackRefInputs')]
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=train_pipeline))  # objects, on each of 4 GPUs
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best='res/oiou'))
