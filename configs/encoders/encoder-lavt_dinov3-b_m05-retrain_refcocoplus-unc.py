# LAVT on DINOv3 ViT-B and ModernBERT: 5 % of the masks of RefCOCO+ and the accepted pseudo masks.
_base_ = './encoder-lavt_dinov3-b_m100_refcocoplus-unc.py'
ann_file = 'annotations/refcocoplus-unc/instances_sample_5_box_pick.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
