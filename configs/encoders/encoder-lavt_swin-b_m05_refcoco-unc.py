# LAVT on Swin-B and BERT: 5 % of the masks of RefCOCO.
_base_ = './encoder-lavt_swin-b_m100_refcoco-unc.py'
ann_file = 'annotations/refcoco-unc/instances_sample_5.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
