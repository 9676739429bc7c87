# Cascade Mask R-CNN on ConvNeXt-B and FPN: COCO.
_base_ = [
    '../_base_/models/encoder-cascade-mask-rcnn.py',
    '../_base_/datasets/coco_instance_lsj.py',
    '../_base_/schedules/convnext-coco_36e.py',
    '../_base_/default_runtime.py',
]
model = dict(backbone=dict(model='facebook/convnext-base-224-22k@refs/pr/1', config=dict(drop_path_rate=0.6)))
train_dataloader = dict(batch_size=2)  # on each of 8 GPUs
# Steps instead of epochs.
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=5000))
log_processor = dict(by_epoch=False)
