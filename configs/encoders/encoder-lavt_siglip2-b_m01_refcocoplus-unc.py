# LAVT on SigLIP 2 B/16, both of its towers: 1 % of the masks of RefCOCO+.
_base_ = './encoder-lavt_siglip2-b_m100_refcocoplus-unc.py'
ann_file = 'annotations/refcocoplus-unc/instances_sample_1.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
