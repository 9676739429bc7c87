# No masks of RefCOCO+ at all: the refiner learns from boxes and colours.
_base_ = './box-refiner_darknet53_m100_refcocoplus-unc.py'
model = dict(refiner=_base_.boxes_teach)
# the masks of the file are not read
train_dataloader = dict(dataset=dict(pipeline=_base_.box_pipeline, require_masks=False))
