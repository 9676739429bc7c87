# Late LAVT on RefShapes from 5 % of the masks.
_base_ = './late-lavt_tiny_refshapes.py'
max_epochs = 60
lr = 1e-3
train_dataloader = dict(
    batch_size=8, dataset=dict(ann_file='annotations/refshapes_small/instances_sample_5.json')
)
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=lr))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min=lr / 50, convert_to_iter_based=True),
]
