# Stage 1: boxes only, without anything but the token loss. The mask stages start from box-frame_tiny_rec instead,
# as the paper starts from a published network; --load-from this one to see what that is worth.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/partial-res_tiny.py',
    '../_base_/datasets/refshapes.py',
    '../_base_/schedules/refshapes.py',
]
max_epochs = 16
model = dict(head=dict(codec={{_base_.codec}}, with_box=True, with_mask=False, task_prompt=False))
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
