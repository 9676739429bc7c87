# Segmentation, of SeqTR and of Partial-RES: 90 epochs, a tenth of the learning rate from the 75th on.
max_epochs = 90
lr = 5e-4
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=lr, betas=(0.9, 0.98), eps=1e-9, amsgrad=True),
    clip_grad=dict(max_norm=0.15),
)
# Epochs are counted from 0: lr * (epoch + 1) / 6 in the first five.
param_scheduler = [
    dict(type='LinearLR', start_factor=1 / 6, by_epoch=True, begin=0, end=6),
    dict(type='MultiStepLR', milestones=[74], gamma=0.1, by_epoch=True),
]
# The learning rate belongs to 128 objects a step: `tools/train.py --auto-scale-lr` for another number.
auto_scale_lr = dict(enable=False, base_batch_size=128)
# The originals' average: step n (from 0) keeps min(0.999, n / (n + 9)) of it.
custom_hooks = [
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.001, gamma=9, update_buffers=True)
]
