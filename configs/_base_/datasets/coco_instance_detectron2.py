# COCO, read and resized as by detectron2: Pillow decodes and resizes, the short side decides.
_base_ = 'mmdet::_base_/datasets/coco_instance.py'

data_root = 'data/coco/'
max_size = 1333

load = dict(type='LoadImageFromFile', imdecode_backend='pillow')
train_pipeline = [
    load,
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True, poly2mask=False),
    dict(
        type='RandomChoiceResize',
        scales=[640, 672, 704, 736, 768, 800],
        resize_type='ResizeShortestEdge',
        max_size=max_size,
        backend='pillow',
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    load,
    dict(type='ResizeShortestEdge', scale=800, max_size=max_size, backend='pillow'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
# One endless stream of shuffled images, as detectron2's TrainingSampler; 2 images on each of 8 GPUs.
train_dataloader = dict(
    sampler=dict(_delete_=True, type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='CocoInstanceDataset',
        data_root=data_root,
        filter_cfg=dict(filter_empty_gt=True, min_size=0),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(dataset=dict(type='CocoInstanceDataset', data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(type='CocoInstanceDataset', data_root=data_root, pipeline=test_pipeline))
# Exact over any number of processes, under CocoMetric's keys.
val_evaluator = dict(type='InstanceMetric', ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = dict(type='InstanceMetric', ann_file=data_root + 'annotations/instances_val2017.json')
