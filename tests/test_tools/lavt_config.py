"""LAVT at its smallest, with all that is random in a training: sentences, order, drop path, dropout."""

_base_ = './toy_config.py'

model = dict(
    _delete_=True,
    type='LAVT',
    data_preprocessor=dict(type='DetDataPreprocessor', mean=[128.0] * 3, std=[64.0] * 3, bgr_to_rgb=True),
    backbone=dict(
        type='LanguageSwin',
        embed_dims=8,
        depths=(1, 2, 1),
        num_heads=(1, 2, 2),
        window_size=4,
        language_channels=16,
        drop_path_rate=0.3,
        gate=dict(type='lavt', dropout=0.2),
    ),
    language_model=dict(
        type='WordEncoder',
        vocabulary=dict(ann_file='{{$TOY_DATA:data}}/instances.json', max_tokens=6),
        max_tokens=6,
        embed_dims=8,
        hidden_dims=8,
    ),
    decode_head=dict(type='LAVTHead', in_channels=(8, 16, 32), channels=8),
    test_cfg=dict(sentences='each', frame='original'),
)
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.01, weight_decay=0.01),
    paramwise_cfg=dict(custom_keys={'norm': dict(decay_mult=0.0)}),
)
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, end=3, convert_to_iter_based=True)]
# The loss of every step, to the last digit.
default_hooks = dict(logger=dict(interval=1))
log_processor = dict(window_size=1)
custom_hooks = [dict(type='EMAHook', momentum=0.1), dict(type='DyingHook')]
custom_imports = dict(
    imports=['mmrefseg.registration', 'toy_model', 'dying_hook'], allow_failed_imports=False
)
