# Cascade Mask R-CNN on SigLIP 2 B/16: the boxes of all objects of COCO and 5 % of the masks.
_base_ = './encoder-cascade-mask-rcnn_siglip2-b_coco.py'
train_dataloader = dict(dataset=dict(ann_file='annotations/instances_train2017_sample_5.json'))
