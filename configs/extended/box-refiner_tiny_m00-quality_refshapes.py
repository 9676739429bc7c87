# Scores that say how good a mask is: predicted IoUs, learned from boxes alone. How well a mask is drawn is the
# refiner's own belief.
_base_ = './box-refiner_tiny_m100_refshapes.py'
load_from = 'work_dirs/box-refiner_tiny_m00_refshapes/best.pth'
model = dict(quality=_base_.quality)
box_pipeline = _base_.box_pipeline
pipeline = [*box_pipeline[:-1], dict(type='RefFlip', prob=1.0), box_pipeline[-1]]
train_dataloader = dict(dataset=dict(require_masks=False, pipeline=pipeline))
train_cfg = _base_.quality_loop
optim_wrapper = _base_.quality_optimizer
param_scheduler = _base_.quality_rate
