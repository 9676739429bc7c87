# Stage 2: 1 % of the masks.
_base_ = './box-frame_tiny_m100_refshapes.py'
max_epochs = 40
# Few contours: each is decoded in two jittered boxes a step.
model = dict(head=dict(jitters=2))
train_dataloader = dict(dataset=dict(ann_file='annotations/refshapes_small/instances_sample_1.json'))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = {{_base_.few_masks}}
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=40),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min_ratio=0.02, convert_to_iter_based=True),
]
