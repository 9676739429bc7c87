# DINOv3 ViT-B and ModernBERT: 1 % of the masks of RefCOCO, the accepted pseudo masks, and all boxes.
_base_ = './encoder-res_dinov3-b_m100_refcoco-unc.py'
ann_file = 'annotations/refcoco-unc/instances_sample_1_box_pick.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
