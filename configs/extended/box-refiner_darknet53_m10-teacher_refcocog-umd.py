# Few masks of RefCOCOg (UMD split): 10 % of them; a mean teacher's masks that fit their boxes teach the other objects.
_base_ = './box-refiner_darknet53_m100_refcocog-umd.py'
model = dict(refiner=dict(_base_.boxes_teach, type='TeacherRefiner'))
dataset = dict(_base_.train_dataloader.dataset, ann_file='annotations/refcocog-umd/instances_sample_10.json')
# An object with a mask comes 3 times an epoch for it, and every object once for its box.
masks = dict(type='RepeatDataset', times=3, dataset=dataset)
boxes = dict(dataset, pipeline=_base_.box_pipeline, require_masks=False)
train_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=[masks, boxes]))
