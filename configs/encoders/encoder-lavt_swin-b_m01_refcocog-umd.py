# LAVT on Swin-B and BERT: 1 % of the masks of RefCOCOg (UMD split).
_base_ = './encoder-lavt_swin-b_m100_refcocog-umd.py'
ann_file = 'annotations/refcocog-umd/instances_sample_1.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
