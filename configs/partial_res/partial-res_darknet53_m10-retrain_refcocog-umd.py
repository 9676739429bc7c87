# Stage 3b: 10 % of the masks of RefCOCOg and the accepted pseudo masks; again from stage 1.
_base_ = './partial-res_darknet53_m100_refcocog-umd.py'
train_dataloader = dict(dataset=dict(ann_file='annotations/refcocog-umd/instances_sample_10_box_pick.json'))
