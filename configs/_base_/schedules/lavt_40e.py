# LAVT: 40 epochs of AdamW; polynomial decay after every step.
max_epochs = 40
lr = 5e-5
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=lr, weight_decay=0.01),
    # No decay for Swin's norms and position biases. The names of BERT's (LayerNorm) and of the decoder's (bn) norms do
    # not match: they decay, as in the released recipe.
    paramwise_cfg=dict(
        custom_keys={'norm': dict(decay_mult=0.0), 'relative_position_bias_table': dict(decay_mult=0.0)}
    ),
)
param_scheduler = [
    dict(type='PolyDecay', power=0.9, eta_min=0.0, begin=0, end=max_epochs, convert_to_iter_based=True)
]
# The learning rate belongs to 32 objects a step: `tools/train.py --auto-scale-lr` for another number.
auto_scale_lr = dict(enable=False, base_batch_size=32)
