# LAVT from 5 % of the masks of RefCOCO and the accepted pseudo masks, whoever predicted them:
# Partial-RES (partial-res_darknet53_m05-pseudo_refcoco-unc.py)
# or LAVT itself (lavt_swin-b-w12_480_m05-pseudo_refcoco-unc.py).
_base_ = './lavt_swin-b-w12_480_refcoco-unc.py'
ann_file = 'annotations/refcoco-unc/instances_sample_5_box_pick.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
