# Cascade Mask R-CNN, ResNeSt-50 and FPN on COCO: mmdet's own config, of which objects without a mask teach boxes.
_base_ = [
    'mmdet::resnest/cascade-mask-rcnn_s50_fpn_syncbn-backbone+head_ms-1x_coco.py',
    '../_base_/instance_runtime.py',
]
# of two images on each of 8 GPUs
data_root = 'data/coco/'
train_dataloader = dict(dataset=dict(type='CocoInstanceDataset', data_root=data_root))
val_dataloader = dict(dataset=dict(type='CocoInstanceDataset', data_root=data_root))
test_dataloader = dict(dataset=dict(type='CocoInstanceDataset', data_root=data_root))
val_evaluator = dict(type='InstanceMetric', ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = dict(type='InstanceMetric', ann_file=data_root + 'annotations/instances_val2017.json')
default_hooks = dict(
    checkpoint=dict(
        type='WriteFirstCheckpointHook', max_keep_ckpts=1, save_best='coco/segm_mAP', rule='greater'
    )
)
model = dict(roi_head=dict(mask_head=dict(type='PartialMaskHead')))
