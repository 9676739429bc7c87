# 1 % of the masks, and the boxes of all objects. Images with a mask come 13 times an epoch, with that object alone.
_base_ = './box-refiner_tiny_m00_refshapes.py'
dataset = dict(
    _base_.train_dataloader.dataset, ann_file='annotations/refshapes_small/instances_sample_1.json'
)
masks = dict(dataset, pipeline=_base_.train_pipeline, require_masks=True)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        datasets=[dict(type='RepeatDataset', times=13, dataset=masks), dataset],
    )
)
