# ViTDet's recipe for ViT-B on COCO (detectron2, projects/ViTDet: mask_rcnn_vitdet_b_100ep): 64 images a step, 184,375
# steps (100 epochs), layer-wise decay 0.7. Each block attends to the whole image, where ViTDet's keep to windows.
max_iters = 184375
lr = 1e-4
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='LayerDecayConstructor',
    optimizer=dict(type='AdamW', lr=lr, betas=(0.9, 0.999), weight_decay=0.1),
    paramwise_cfg=dict(
        layer_decay=0.7,
        norm_decay_mult=0.0,
        custom_keys={'norm': dict(decay_mult=0.0), 'position_embedding': dict(decay_mult=0.0)},
    ),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=250),
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=max_iters, milestones=[163889, 177546], gamma=0.1),
]
auto_scale_lr = dict(enable=False, base_batch_size=64)
