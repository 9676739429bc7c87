# RefShapes: the boxes of all objects and 5 % of the masks.
_base_ = './mask-rcnn_tiny_refshapes.py'
train_dataloader = dict(
    dataset=dict(ann_file='annotations/refshapes_small/coco/instances_train_sample_5.json')
)
