# Scores that say how good a mask is: predicted IoUs of RefCOCOg (UMD split)'s masks, learned from all boxes and 5 % of the masks.
_base_ = './box-refiner_darknet53_m100_refcocog-umd.py'
load_from = 'work_dirs/box-refiner_darknet53_m05_refcocog-umd/best.pth'
model = dict(quality=_base_.quality)
dataset = dict(_base_.source, ann_file='annotations/refcocog-umd/instances_sample_5.json')
train_dataloader = dict(dataset=dict(**dataset, require_masks=False, pipeline=_base_.quality_pipeline))
train_cfg = _base_.quality_loop
optim_wrapper = _base_.quality_optimizer
param_scheduler = _base_.quality_rate
