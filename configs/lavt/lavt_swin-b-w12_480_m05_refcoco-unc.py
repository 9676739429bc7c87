# LAVT from 5 % of the masks of RefCOCO.
_base_ = './lavt_swin-b-w12_480_refcoco-unc.py'
ann_file = 'annotations/refcoco-unc/instances_sample_5.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
