# LAVT on ConvNeXt-B and RoBERTa: 5 % of the masks of RefCOCO and the accepted pseudo masks.
_base_ = './encoder-lavt_convnext-b_m100_refcoco-unc.py'
ann_file = 'annotations/refcoco-unc/instances_sample_5_box_pick.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
