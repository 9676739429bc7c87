# Swin-B and BERT: 5 % of the masks of RefCOCO+, the accepted pseudo masks, and all boxes.
_base_ = './encoder-res_swin-b_m100_refcocoplus-unc.py'
ann_file = 'annotations/refcocoplus-unc/instances_sample_5_box_pick.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
