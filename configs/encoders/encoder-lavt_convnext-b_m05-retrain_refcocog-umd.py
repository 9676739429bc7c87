# LAVT on ConvNeXt-B and RoBERTa: 5 % of the masks of RefCOCOg (UMD split) and the accepted pseudo masks.
_base_ = './encoder-lavt_convnext-b_m100_refcocog-umd.py'
ann_file = 'annotations/refcocog-umd/instances_sample_5_box_pick.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
