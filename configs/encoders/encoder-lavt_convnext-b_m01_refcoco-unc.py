# LAVT on ConvNeXt-B and RoBERTa: 1 % of the masks of RefCOCO.
_base_ = './encoder-lavt_convnext-b_m100_refcoco-unc.py'
ann_file = 'annotations/refcoco-unc/instances_sample_1.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
