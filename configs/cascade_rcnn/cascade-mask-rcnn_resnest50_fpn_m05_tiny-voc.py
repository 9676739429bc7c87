# Tiny PASCAL VOC: the boxes of all objects and 5 % of the masks. Validation has all masks, as before.
_base_ = './cascade-mask-rcnn_resnest50_fpn_tiny-voc.py'
train_dataloader = dict(dataset=dict(ann_file='pascal_train_sample_5.json'))
