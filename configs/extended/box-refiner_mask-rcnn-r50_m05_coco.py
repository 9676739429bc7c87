# Few masks of COCO, behind Mask R-CNN: 5 % of them, and the boxes of all objects.
_base_ = './box-refiner_mask-rcnn-r50_coco.py'
load_from = 'work_dirs/mask-rcnn_r50-caffe_fpn_1x_m05_coco/latest.pth'
model = dict(refiner=_base_.boxes_teach)
train_dataloader = dict(dataset=dict(ann_file='annotations/instances_train2017_sample_5.json'))
