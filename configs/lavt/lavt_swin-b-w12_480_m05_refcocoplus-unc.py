# LAVT from 5 % of the masks of RefCOCO+.
_base_ = './lavt_swin-b-w12_480_refcocoplus-unc.py'
ann_file = 'annotations/refcocoplus-unc/instances_sample_5.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
