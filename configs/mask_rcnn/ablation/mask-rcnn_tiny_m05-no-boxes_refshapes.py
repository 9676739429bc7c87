# Ablation (5 % of the masks): the objects without a mask are left out, as if they were not annotated at all.
_base_ = '../mask-rcnn_tiny_refshapes.py'
train_dataloader = dict(
    dataset=dict(
        ann_file='annotations/refshapes_small/coco/instances_train_sample_5.json', require_masks=True
    )
)
