# Mask R-CNN on Swin-B and FPN: COCO.
_base_ = [
    '../_base_/models/encoder-mask-rcnn.py',
    '../_base_/datasets/coco_instance_lsj.py',
    '../_base_/schedules/swin-coco_50e.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(model='microsoft/swin-base-patch4-window7-224-in22k', config=dict(drop_path_rate=0.4))
)
train_dataloader = dict(batch_size=8)  # on each of 8 GPUs
# Steps instead of epochs.
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=5000))
log_processor = dict(by_epoch=False)
