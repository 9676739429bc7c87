# LAVT on SigLIP 2 B/16, both of its towers: 5 % of the masks of RefCOCOg (UMD split).
_base_ = './encoder-lavt_siglip2-b_m100_refcocog-umd.py'
ann_file = 'annotations/refcocog-umd/instances_sample_5.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
