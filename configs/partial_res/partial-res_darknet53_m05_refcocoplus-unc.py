# Stage 2: 5 % of the masks of RefCOCO+, from the weights of stage 1.
_base_ = './partial-res_darknet53_m100_refcocoplus-unc.py'
ann_file = 'annotations/refcocoplus-unc/instances_sample_5.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
