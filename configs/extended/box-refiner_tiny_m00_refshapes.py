# No masks at all: the refiner learns from boxes and colours.
_base_ = './box-refiner_tiny_m100_refshapes.py'
max_epochs = 4
model = dict(refiner=dict(box_weight=1.0, similarity=0.6))
# the masks of the file are not read
train_dataloader = dict(dataset=dict(pipeline=_base_.box_pipeline, require_masks=False))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min_ratio=0.02, convert_to_iter_based=True),
]
