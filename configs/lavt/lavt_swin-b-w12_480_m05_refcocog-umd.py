# LAVT from 5 % of the masks of RefCOCOg (UMD split).
_base_ = './lavt_swin-b-w12_480_refcocog-umd.py'
ann_file = 'annotations/refcocog-umd/instances_sample_5.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
