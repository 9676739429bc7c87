# Mask R-CNN at a size that learns RefShapes small from scratch in minutes on two CPU cores.
_base_ = [
    '../_base_/models/mask-rcnn_detectron2.py',
    '../_base_/datasets/refshapes_instances.py',
    '../_base_/default_runtime.py',
]

max_iters = 1500  # as many whatever the annotation file holds; 4 epochs of RefShapes small
lr = 1e-3
num_classes = 10
channels = 48

train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=lr, weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', T_max=max_iters, eta_min=lr / 50, by_epoch=False),
]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=375, save_best='coco/segm_mAP_50'))
log_processor = dict(by_epoch=False)

norm_cfg = dict(type='BN', requires_grad=True)
# Objects are 27 to 69 pixels wide (the longer side): two sizes of anchors on each level, all square.
strides = [4, 8, 16]
model = dict(
    data_preprocessor=dict(std=[57.375, 57.12, 58.395], pad_size_divisor=16),
    backbone=dict(
        depth=18,
        base_channels=16,
        stem_channels=16,
        num_stages=3,
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
        out_indices=(0, 1, 2),
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
        init_cfg=None,
    ),
    neck=dict(in_channels=[16, 32, 64], out_channels=channels, num_outs=3, norm_cfg=norm_cfg),
    rpn_head=dict(
        in_channels=channels,
        feat_channels=channels,
        anchor_generator=dict(scales=[5, 7], ratios=[1.0], strides=strides),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(sampling_ratio=2),
            out_channels=channels,
            featmap_strides=strides,
            finest_scale=20,
        ),
        bbox_head=dict(in_channels=channels, fc_out_channels=128, num_classes=num_classes),
        mask_roi_extractor=dict(
            type='SingleRoIExtractor',
            roi_layer=dict(sampling_ratio=1),  # a bin is smaller than a cell of the map
            out_channels=channels,
            featmap_strides=strides,
            finest_scale=20,
        ),
        mask_head=dict(
            num_convs=2,
            in_channels=channels,
            conv_out_channels=32,
            num_classes=num_classes,
            norm_cfg=norm_cfg,
        ),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=32, pos_fraction=0.35)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100), rcnn=dict(max_per_img=20)),
)
