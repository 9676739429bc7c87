# All masks: the ceiling, and what the other stages inherit. The boxes are those of the boxes-only network that comes with
# the package, which stays as it is (its config is box-frame_tiny_rec_refshapes.py); the refiner draws the masks in them.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/box-frame_tiny.py',
    '../_base_/datasets/refshapes.py',
    '../_base_/schedules/refshapes.py',
]
load_from = 'mmrefseg://rec_tiny_refshapes'
max_epochs = 6
lr = 3e-3

boxes = dict(_base_.model, head=dict(_base_.model.head, codec=_base_.codec))
# what only teaches frozen weights
boxes.pop('auxiliary_heads')
model = dict(
    _delete_=True,
    type='RefinedSegmentor',
    segmentor=boxes,
    refiner=dict(type='BoxRefiner', size=48, channels=16),
)

train_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='LoadRefAnnotations', with_mask=True),
    dict(type='RefResize', scale=_base_.image_size),
    dict(type='PackRefInputs'),
]
# Boxes alone, also where a file has masks.
box_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='LoadRefAnnotations', with_mask=False),
    dict(type='RefResize', scale=_base_.image_size),
    dict(type='PackRefInputs'),
]
train_dataloader = dict(batch_size=8, dataset=dict(pipeline=train_pipeline))
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
optim_wrapper = dict(optimizer=dict(lr=lr), paramwise_cfg=dict(_delete_=True))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min_ratio=0.02, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(save_best='res/miou'))

# What the stages with few masks take instead: objects without one teach by their boxes and colours.
boxes_teach = dict(box_weight=1.0, same_colour=0.5)  # of 256 levels, 32
few_masks_loop = dict(max_epochs=4, val_interval=4)
few_masks_rate = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', T_max=4, eta_min_ratio=0.02, convert_to_iter_based=True),
]

# What the last stage takes, which learns scores alone: the mirror images of the training set, on which the frozen
# network errs about as often as on new images.
quality = dict(type='QualityHead')
quality_pipeline = [*train_pipeline[:-1], dict(type='RefFlip', prob=1.0), train_pipeline[-1]]
quality_loop = dict(max_epochs=2, val_interval=2)
quality_optimizer = dict(optimizer=dict(lr=2e-3))
quality_rate = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', T_max=2, eta_min_ratio=0.02, convert_to_iter_based=True),
]
