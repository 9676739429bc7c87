# LAVT from 5 % of the masks of RefCOCOg (UMD split) and the accepted pseudo masks, whoever predicted them:
# Partial-RES (partial-res_darknet53_m05-pseudo_refcocog-umd.py)
# or LAVT itself (lavt_swin-b-w12_480_m05-pseudo_refcocog-umd.py).
_base_ = './lavt_swin-b-w12_480_refcocog-umd.py'
ann_file = 'annotations/refcocog-umd/instances_sample_5_box_pick.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
