# Stage 3b. 5 % of the masks and the selected pseudo masks.
_base_ = './box-refiner_tiny_m100_refshapes.py'
train_dataloader = dict(dataset=dict(ann_file='annotations/refshapes_small/instances_sample_5_box_pick.json'))
