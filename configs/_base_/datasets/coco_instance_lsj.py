# COCO with large-scale jitter (Ghiasi et al., CVPR 2021), images of 1024 x 1024 pixels, as ViTDet takes them.
_base_ = 'mmdet::_base_/datasets/coco_instance.py'

data_root = 'data/coco/'
image_size = (1024, 1024)  # width, height

load = dict(type='LoadImageFromFile', imdecode_backend='pillow')
train_pipeline = [
    load,
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomResize', scale=image_size, ratio_range=(0.1, 2.0), keep_ratio=True),
    # Boxes are cut at the crop's border and not drawn anew around what is left of the mask: some objects have none.
    dict(
        type='RandomCrop',
        crop_type='absolute',
        crop_size=image_size,
        recompute_bbox=False,
        allow_negative_crop=True,
    ),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2)),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    load,
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
# One endless stream of shuffled images.
train_dataloader = dict(
    num_workers=4,
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
