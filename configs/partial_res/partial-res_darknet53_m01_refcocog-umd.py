# Stage 2: 1 % of the masks of RefCOCOg (UMD split), from the weights of stage 1.
_base_ = './partial-res_darknet53_m100_refcocog-umd.py'
ann_file = 'annotations/refcocog-umd/instances_sample_1.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
