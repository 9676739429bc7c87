# No masks; a mean teacher's masks that fit their boxes teach beside boxes and colours.
_base_ = './box-refiner_tiny_m100_refshapes.py'
model = dict(refiner=dict(_base_.boxes_teach, type='TeacherRefiner', with_boxes=True, burn_in=600))
# the masks of the file are not read
train_dataloader = dict(dataset=dict(pipeline=_base_.box_pipeline, require_masks=False))
train_cfg = _base_.few_masks_loop
param_scheduler = _base_.few_masks_rate
