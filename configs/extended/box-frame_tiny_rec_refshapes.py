# Stage 1: boxes only, taught by the cells inside them, their categories and the words said of them.
# What the mask stages of both networks on RefShapes start from.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/box-frame_tiny.py',
    '../_base_/datasets/refshapes.py',
    '../_base_/schedules/refshapes.py',
]
max_epochs = 16
model = dict(head=dict(codec={{_base_.codec}}))
train_dataloader = dict(batch_size=8, dataset=dict(pipeline={{_base_.rec_pipeline}}, require_masks=False))
val_dataloader = dict(dataset=dict(pipeline={{_base_.pseudo_pipeline}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.pseudo_pipeline}}))
val_evaluator = dict(_delete_=True, type='RECMetric')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=max_epochs, val_interval=4)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=150),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min_ratio=0.02, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(save_best='rec/acc50'))
