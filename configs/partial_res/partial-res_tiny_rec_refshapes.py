# Stage 1: boxes only.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/partial-res_tiny.py',
    '../_base_/datasets/refshapes.py',
    '../_base_/schedules/refshapes.py',
]
model = dict(head=dict(codec={{_base_.codec}}))
train_dataloader = dict(batch_size=8, dataset=dict(pipeline={{_base_.rec_pipeline}}, require_masks=False))
val_dataloader = dict(dataset=dict(pipeline={{_base_.pseudo_pipeline}}))
test_dataloader = dict(dataset=dict(pipeline={{_base_.pseudo_pipeline}}))
val_evaluator = dict(_delete_=True, type='RECMetric')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='rec/acc50'))
