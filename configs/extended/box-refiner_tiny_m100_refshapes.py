# All masks: the ceiling, and what the other stages inherit. The boxes are those of the boxes-only network that comes with
# the package (its config is box-frame_tiny_rec_refshapes.py), which stays as it is; the refiner draws the masks in them.
_base_ = './box-frame_tiny_rec_refshapes.py'
load_from = 'mmrefseg://rec_tiny_refshapes'
max_epochs = 6
lr = 3e-3

model = dict(
    _delete_=True,
    type='RefinedSegmentor',
    # what only teaches frozen weights is left out
    segmentor={**_base_.model, 'auxiliary_heads': []},
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
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, require_masks=True))
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
val_evaluator = dict(_delete_=True, type='RESMetric')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=max_epochs, val_interval=1)
optim_wrapper = dict(optimizer=dict(lr=lr), paramwise_cfg=dict(_delete_=True))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min_ratio=0.02, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(save_best='res/miou'))
