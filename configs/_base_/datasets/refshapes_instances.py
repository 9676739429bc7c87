# RefShapes small as COCO instances: all objects of an image, whether a sentence names them or not.
# Made by `tools/dataset_converters/create_refshapes.py --size small` in a minute.
data_root = 'data/'
ann_folder = 'annotations/refshapes_small/coco/'
# fmt: off
metainfo = dict(classes=(
    'circle', 'square', 'triangle', 'star', 'ring', 'cross', 'diamond', 'heart', 'moon', 'arrow',
))
# fmt: on
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape')),
]
# Images go in as they are; Resize sets the scale that boxes are handed back with.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
dataset = dict(
    type='CocoInstanceDataset',
    data_root=data_root,
    data_prefix=dict(img='images/refshapes_small/'),
    metainfo=metainfo,
)
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**dataset, ann_file=ann_folder + 'instances_train.json', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, ann_file=ann_folder + 'instances_val.json', test_mode=True, pipeline=test_pipeline
    ),
)
test_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset, ann_file=ann_folder + 'instances_testA.json', test_mode=True, pipeline=test_pipeline
    ),
)
val_evaluator = dict(type='InstanceMetric', ann_file=data_root + ann_folder + 'instances_val.json')
test_evaluator = dict(type='InstanceMetric', ann_file=data_root + ann_folder + 'instances_testA.json')
