# Mask R-CNN, ResNet-50 and FPN, as detectron2's COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.
_base_ = [
    '../_base_/models/mask-rcnn_detectron2.py',
    '../_base_/datasets/coco_instance_detectron2.py',
    '../_base_/schedules/detectron2_1x.py',
    '../_base_/default_runtime.py',
]

# Steps instead of epochs; detectron2 keeps a checkpoint of every 5000.
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=5000))
log_processor = dict(by_epoch=False)
