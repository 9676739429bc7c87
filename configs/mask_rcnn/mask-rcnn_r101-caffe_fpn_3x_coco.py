# Mask R-CNN, ResNet-101 and FPN, as detectron2's COCO-InstanceSegmentation/mask_rcnn_R_101_FPN_3x.
_base_ = './mask-rcnn_r50-caffe_fpn_3x_coco.py'

model = dict(backbone=dict(depth=101, init_cfg=dict(type='Pretrained', checkpoint='data/weights/R-101.pth')))
