# Mask R-CNN on DINOv3 ViT-B, with a simple feature pyramid in place of FPN, as ViTDet: COCO.
_base_ = [
    '../_base_/models/encoder-mask-rcnn.py',
    '../_base_/datasets/coco_instance_lsj.py',
    '../_base_/schedules/vitdet_100e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(
        model='facebook/dinov3-vitb16-pretrain-lvd1689m',
        strides=(4, 8, 16, 32, 64),
        out_channels=256,
        config=dict(drop_path_rate=0.1),
    ),
    neck=None,
)
train_dataloader = dict(batch_size=8)  # on each of 8 GPUs
# Steps instead of epochs.
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=5000))
log_processor = dict(by_epoch=False)
