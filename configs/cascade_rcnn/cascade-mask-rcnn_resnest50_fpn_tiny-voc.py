# Cascade Mask R-CNN, ResNeSt-50 and FPN on tiny PASCAL VOC: mmdet's own config with 20 classes and a short recipe.
_base_ = [
    'mmdet::resnest/cascade-mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco.py',
    '../_base_/instance_runtime.py',
]

# The share of the training images that is held out for validation. 0 is the original's way: train on all of them,
# and validate on the same.
held_out = 0.1
# 'imagenet' (the backbone, as the original) or 'coco' (everything but the classes).
start = 'imagenet'
# What that means. mmengine downloads it once; where there is no network, name a file.
imagenet = 'open-mmlab://resnest50'
coco = (
    'https://download.openmmlab.com/mmdetection/v2.0/resnest/'
    'cascade_mask_rcnn_s50_fpn_syncbn-backbone%2Bhead_mstrain_1x_coco/'
    'cascade_mask_rcnn_s50_fpn_syncbn-backbone%2Bhead_mstrain_1x_coco_20201122_104428-99eca4c7.pth'
)

# Data: data/train_images, data/test_images, data/pascal_train.json, data/test.json.
data_root = 'data/'
metainfo = dict(
    classes=(
        *('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car', 'cat', 'chair', 'cow'),
        *('diningtable', 'dog', 'horse', 'motorbike', 'person', 'pottedplant', 'sheep', 'sofa', 'train'),
        'tvmonitor',
    )
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='RandomChoiceResize',
        scales=[(1333, short) for short in (640, 672, 704, 736, 768, 800)],
        keep_ratio=True,
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_set = dict(
    type='CocoInstanceDataset',
    data_root=data_root,
    ann_file='pascal_train.json',
    data_prefix=dict(img='train_images/'),
    metainfo=metainfo,
    held_out=held_out,
)
train_dataloader = dict(batch_size=1, dataset=dict(**train_set, part='train', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**train_set, part='val', pipeline=test_pipeline))
test_dataloader = dict(
    dataset=dict(
        type='CocoInstanceDataset',
        data_root=data_root,
        ann_file='test.json',
        data_prefix=dict(img='test_images/'),
        metainfo=metainfo,
        pipeline=test_pipeline,
    )
)
val_evaluator = dict(type='InstanceMetric', ann_file=data_root + 'pascal_train.json')
test_evaluator = dict(type='InstanceMetric', ann_file=data_root + 'test.json')

# One image on each of two processes: an eighth of the 16 images that 0.02 is for.
max_epochs = 24
train_cfg = dict(max_epochs=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=0.02 / 8))
auto_scale_lr = dict(base_batch_size=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=max_epochs, milestones=[16, 22], gamma=0.1),
]
default_hooks = dict(
    checkpoint=dict(
        type='WriteFirstCheckpointHook', max_keep_ckpts=1, save_best='coco/segm_mAP', rule='greater'
    )
)

# tools/train.py and tools/test.py put BN in place of SyncBN on one process and where there is no GPU.
norm_cfg = dict(type='SyncBN', requires_grad=True)
num_classes = 20
model = dict(
    backbone=dict(
        init_cfg=None if start == 'coco' else dict(type='Pretrained', checkpoint=imagenet),
    ),
    roi_head=dict(
        bbox_head=[
            dict(
                type='Shared4Conv1FCBBoxHead',
                in_channels=256,
                conv_out_channels=256,
                fc_out_channels=1024,
                norm_cfg=norm_cfg,
                roi_feat_size=7,
                num_classes=num_classes,
                bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=stds),
                reg_class_agnostic=True,
                loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
                loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0),
            )
            for stds in ([0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067])
        ],
        mask_head=dict(type='PartialMaskHead', num_classes=num_classes),
    ),
)
load_from = coco if start == 'coco' else None
