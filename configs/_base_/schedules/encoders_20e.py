# Pretrained encoders, 20 epochs: the recipe of InstanceVG-B (https://github.com/Dmmm1997/InstanceVG,
# configs/refcoco/InstanceVG-B-refcoco): Adam, 5e-4, a tenth of it for the image encoder, three epochs of warm-up, a
# tenth from the 16th epoch on. For the text encoder a tenth too, as DeRIS-B has it
# (https://github.com/Dmmm1997/DeRIS, configs/refcoco/DERIS-B-refcoco.py). All sources: configs/encoders/README.md.
max_epochs = 20
lr = 5e-4
encoder_lr_mult = 0.1
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='MergedGroupsConstructor',
    optimizer=dict(type='Adam', lr=lr, betas=(0.9, 0.98), eps=1e-9, amsgrad=True),
    paramwise_cfg=dict(
        custom_keys={
            'backbone.encoder': dict(lr_mult=encoder_lr_mult),
            'language_model.encoder': dict(lr_mult=encoder_lr_mult),
        }
    ),
    clip_grad=dict(max_norm=0.15),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1 / 4, by_epoch=True, begin=0, end=3),
    dict(type='MultiStepLR', milestones=[15], gamma=0.1, by_epoch=True),
]
# 16 objects a GPU, as theirs; how many GPUs is not in their files, four are assumed here.
auto_scale_lr = dict(enable=False, base_batch_size=64)
