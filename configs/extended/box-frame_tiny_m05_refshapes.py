# Stage 2: 5 % of the masks.
_base_ = './box-frame_tiny_m100_refshapes.py'
# Few contours: each is decoded in two jittered boxes a step.
model = dict(head=dict(jitters=2))
train_dataloader = dict(dataset=dict(ann_file='annotations/refshapes_small/instances_sample_5.json'))
train_cfg = {{_base_.few_masks_loop}}
optim_wrapper = {{_base_.few_masks}}
param_scheduler = {{_base_.few_masks_rate}}
