# Few masks of RefCOCOg (UMD split), behind LAVT: 5 % of them, and the boxes of all objects.
_base_ = './box-refiner_lavt-swin-b_m100_refcocog-umd.py'
load_from = 'work_dirs/lavt_swin-b-w12_480_m05_refcocog-umd/best.pth'
model = dict(refiner=_base_.boxes_teach)
ann_file = 'annotations/refcocog-umd/instances_sample_5.json'
dataset = dict(_base_.train_dataloader.dataset, ann_file=ann_file)
# An object with a mask comes 5 times an epoch for it, and every object once for its box.
masks = dict(type='RepeatDataset', times=5, dataset=dataset)
boxes = dict(dataset, pipeline=_base_.box_pipeline, require_masks=False)
train_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=[masks, boxes]))
