# Few masks: 5 % of them; BoxInst's losses of boxes and colours teach the other objects.
_base_ = '../box-refiner_tiny_m100_refshapes.py'
model = dict(refiner=_base_.boxes_teach)
dataset = dict(
    _base_.train_dataloader.dataset, ann_file='annotations/refshapes_small/instances_sample_5.json'
)
# An image with a mask comes 3 times an epoch with that object alone, and every image once for its boxes.
masks = dict(type='RepeatDataset', times=3, dataset=dataset)
boxes = dict(dataset, pipeline=_base_.box_pipeline, require_masks=False)
train_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=[masks, boxes]))
train_cfg = _base_.few_masks_loop
param_scheduler = _base_.few_masks_rate
