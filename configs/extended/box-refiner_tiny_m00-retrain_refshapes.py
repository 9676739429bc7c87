# Stage 3b. The selected pseudo masks alone.
_base_ = './box-refiner_tiny_m100_refshapes.py'
train_dataloader = dict(dataset=dict(ann_file='annotations/refshapes_small/instances_sample_0_box_pick.json'))
