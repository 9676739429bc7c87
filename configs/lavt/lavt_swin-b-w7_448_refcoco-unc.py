# LAVT-pytorch's recipe on RefCOCO: 448 x 448, windows of 7.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/lavt-pytorch_swin-b-w7.py',
    '../_base_/datasets/refcoco_480.py',
    '../_base_/schedules/lavt-pytorch_50e.py',
]
ann_file = 'annotations/refcoco-unc/instances.json'
stretch = dict(_base_.stretch, scale=(448, 448))
train_pipeline = [*_base_.load_steps, dict(type='LoadRefAnnotations'), stretch, dict(type='PackRefInputs')]
test_pipeline = [*_base_.load_steps, stretch, dict(type='LoadRefAnnotations'), dict(type='PackRefInputs')]
train_dataloader = dict(
    batch_size=2,  # objects, on each of 4 GPUs
    dataset=dict(ann_file=ann_file, pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(ann_file=ann_file, pipeline=test_pipeline))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best='res/oiou'))
