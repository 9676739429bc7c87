# All masks of COCO, behind Mask R-CNN: the refiner draws its masks anew, each in its box. Mask R-CNN stays as it is.
_base_ = [
    '../_base_/models/mask-rcnn_detectron2.py',
    '../_base_/datasets/coco_instance_detectron2.py',
    '../_base_/schedules/box-refiner.py',
    '../_base_/default_runtime.py',
]
# or what tools/model_converters/detectron2.py makes of detectron2's weights
load_from = 'work_dirs/mask-rcnn_r50-caffe_fpn_1x_coco/latest.pth'
detector = dict(
    _base_.model, backbone=dict(_base_.model.backbone, init_cfg=None)
)  # load_from brings its weights
model = dict(_delete_=True, type='RefinedSegmentor', segmentor=detector, refiner=_base_.refiner)
train_pipeline = [
    _base_.load,
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),  # as bitmaps
    *_base_.train_pipeline[2:],
]
train_dataloader = dict(
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True), dataset=dict(pipeline=train_pipeline)
)
# COCO has 850,000 objects: one epoch shows more of them than six of RefCOCO.
max_epochs = 1
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=500),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min_ratio=0.02, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(save_best='coco/segm_mAP'))
