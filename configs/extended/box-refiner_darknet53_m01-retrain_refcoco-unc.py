# Stage 3b: 1 % of the masks of RefCOCO and the accepted pseudo masks; again from the boxes-only network.
_base_ = './box-refiner_darknet53_m100_refcoco-unc.py'
ann_file = 'annotations/refcoco-unc/instances_sample_1_box_pick.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
