# Few masks of COCO, behind Mask R-CNN: 5 % of them, which about a third of the images has (three rounds of these).
_base_ = './box-refiner_mask-rcnn-r50_coco.py'
load_from = 'work_dirs/mask-rcnn_r50-caffe_fpn_1x_m05_coco/latest.pth'
ann_file = 'annotations/instances_train2017_sample_5.json'
dataset = dict(_base_.train_dataloader.dataset, ann_file=ann_file, require_masks=True)
train_dataloader = dict(dataset=dict(_delete_=True, type='RepeatDataset', times=3, dataset=dataset))
