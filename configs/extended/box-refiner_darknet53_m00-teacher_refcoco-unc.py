# No masks of RefCOCO at all; a mean teacher's masks that fit their boxes teach beside boxes and colours.
_base_ = './box-refiner_darknet53_m100_refcoco-unc.py'
model = dict(refiner=dict(_base_.boxes_teach, type='TeacherRefiner', with_boxes=True, burn_in=4000))
# the masks of the file are not read
train_dataloader = dict(dataset=dict(pipeline=_base_.box_pipeline, require_masks=False))
