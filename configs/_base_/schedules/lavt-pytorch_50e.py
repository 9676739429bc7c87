# LAVT-pytorch: 50 epochs of AdamW; the rate falls by the same step after each of the first 40.
max_epochs = 50
# It steps before the first epoch: from 1.5e-5 to 1e-5 in 40 steps, of which the first epoch has one behind it.
lr = 1.4875e-5
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=lr, weight_decay=0.01))
param_scheduler = [dict(type='PolyLR', power=1.0, eta_min=1e-5, begin=0, end=40)]
# The learning rate belongs to 8 objects a step: `tools/train.py --auto-scale-lr` for another number.
auto_scale_lr = dict(enable=False, base_batch_size=8)
