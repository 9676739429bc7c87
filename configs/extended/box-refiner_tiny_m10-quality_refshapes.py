# Scores that say how good a mask is: predicted IoUs, learned from all boxes and 10 % of the masks.
_base_ = './box-refiner_tiny_m100_refshapes.py'
load_from = 'work_dirs/box-refiner_tiny_m10_refshapes/best.pth'
model = dict(quality=_base_.quality)
train_dataloader = dict(
    dataset=dict(
        ann_file='annotations/refshapes_small/instances_sample_10.json',
        require_masks=False,
        pipeline=_base_.quality_pipeline,
    )
)
train_cfg = _base_.quality_loop
optim_wrapper = _base_.quality_optimizer
param_scheduler = _base_.quality_rate
