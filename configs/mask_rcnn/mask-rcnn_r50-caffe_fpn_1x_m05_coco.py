# Mask R-CNN, ResNet-50 and FPN, 1x: the boxes of all objects and 5 % of the masks.
_base_ = './mask-rcnn_r50-caffe_fpn_1x_coco.py'
train_dataloader = dict(dataset=dict(ann_file='annotations/instances_train2017_sample_5.json'))
