# Ablation (5 % of the masks): the RoI's cells learn no dense mask.
_base_ = '../box-frame_tiny_m100_refshapes.py'
model = dict(head=dict(jitters=2, mask_cell_head=None))
train_dataloader = dict(dataset=dict(ann_file='annotations/refshapes_small/instances_sample_5.json'))
train_cfg = {{_base_.few_masks_loop}}
optim_wrapper = {{_base_.few_masks}}
param_scheduler = {{_base_.few_masks_rate}}
