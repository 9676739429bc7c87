# SigLIP 2 B/16, both of its towers: 1 % of the masks of RefCOCO+, the accepted pseudo masks, and all boxes.
_base_ = './encoder-res_siglip2-b_m100_refcocoplus-unc.py'
ann_file = 'annotations/refcocoplus-unc/instances_sample_1_box_pick.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
