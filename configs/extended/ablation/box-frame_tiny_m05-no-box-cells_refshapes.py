# Ablation (5 % of the masks): no cell learns whether it is inside the box.
_base_ = '../box-frame_tiny_m100_refshapes.py'
model = dict(head=dict(jitters=2), auxiliary_heads=[{{_base_.category_head}}, {{_base_.word_head}}])
train_dataloader = dict(dataset=dict(ann_file='annotations/refshapes_small/instances_sample_5.json'))
train_cfg = {{_base_.few_masks_loop}}
optim_wrapper = {{_base_.few_masks}}
param_scheduler = {{_base_.few_masks_rate}}
