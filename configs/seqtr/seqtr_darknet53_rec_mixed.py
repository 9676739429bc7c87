# Pre-training for comprehension on the mixed set: 15 epochs on 8 GPUs (16 objects on each), without average.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/seqtr_darknet53.py',
    '../_base_/datasets/mixed.py',
    '../_base_/schedules/seqtr_60e.py',
]
model = dict(
    language_model={{_base_.language}},
    head=dict(codec={{_base_.codec}}, with_box=True, with_mask=False),
)
default_hooks = dict(checkpoint=dict(save_best='rec/acc50'))
train_cfg = dict(max_epochs=15)
param_scheduler = [
    dict(type='LinearLR', start_factor=1 / 2, by_epoch=True, begin=0, end=2),
    dict(type='MultiStepLR', milestones=[11], gamma=0.1, by_epoch=True),
]
custom_hooks = []
