# Late LAVT on RefShapes from 5 % of the masks and the accepted pseudo masks, whoever predicted them.
_base_ = './late-lavt_tiny_refshapes.py'
train_dataloader = dict(dataset=dict(ann_file='annotations/refshapes_small/instances_sample_5_box_pick.json'))
