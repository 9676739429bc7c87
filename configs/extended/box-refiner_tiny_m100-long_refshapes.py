# All masks, four times as long as the other stages: the ceiling of docs/refiner.md, which says how flat val is by then.
_base_ = './box-refiner_tiny_m100_refshapes.py'
max_epochs = 24
train_cfg = dict(max_epochs=max_epochs, val_interval=4)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min_ratio=0.02, convert_to_iter_based=True),
]
