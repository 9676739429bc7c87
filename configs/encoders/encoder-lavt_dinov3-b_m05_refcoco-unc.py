# LAVT on DINOv3 ViT-B and ModernBERT: 5 % of the masks of RefCOCO.
_base_ = './encoder-lavt_dinov3-b_m100_refcoco-unc.py'
ann_file = 'annotations/refcoco-unc/instances_sample_5.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
