# No masks at all: the refiner learns from boxes and colours.
_base_ = './box-refiner_tiny_m100_refshapes.py'
model = dict(refiner=_base_.boxes_teach)
# the masks of the file are not read
train_dataloader = dict(dataset=dict(pipeline=_base_.box_pipeline, require_masks=False))
train_cfg = _base_.few_masks_loop
param_scheduler = _base_.few_masks_rate
