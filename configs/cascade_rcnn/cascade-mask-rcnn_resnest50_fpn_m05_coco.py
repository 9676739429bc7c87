# Cascade Mask R-CNN, ResNeSt-50 and FPN on COCO: the boxes of all objects and 5 % of the masks.
_base_ = './cascade-mask-rcnn_resnest50_fpn_coco.py'
train_dataloader = dict(dataset=dict(ann_file='annotations/instances_train2017_sample_5.json'))
