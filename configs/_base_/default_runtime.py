# What every run has in common. A child config changes one entry by its key, for example
# default_hooks = dict(checkpoint=dict(save_best='miou')).

# Checkpoints: the last (with the optimizer's state, to resume) and the best (weights alone) are kept. `latest.pth` and
# `best.pth` are links to them, so that the next stage can say load_from = 'work_dirs/<this config>/best.pth'.
# `save_best` is named where the metric is chosen.
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='WriteFirstCheckpointHook', interval=1, max_keep_ckpts=1, rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='RefVisualizationHook'),
    dataset_epoch=dict(type='DatasetEpochHook'),
    epoch_seed=dict(type='EpochSeedHook'),
    checkpoint_check=dict(type='CheckpointCheckHook'),
    checkpoint_link=dict(type='CheckpointLinkHook'),
    self_contained=dict(type='SelfContainedHook'),
    unknown_words=dict(type='UnknownWordsHook'),
    finite_loss=dict(type='FiniteLossHook'),
    name_checkpoint=dict(type='NameCheckpointHook'),
    progress=dict(type='RichProgressHook'),
)
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
log_level = 'INFO'
terminal_log = 'short'  # a line an interval; 'full': all that the file has

visualizer = dict(type='RefVisualizer', vis_backends=[dict(type='LocalVisBackend')], name='visualizer')

load_from = None
resume = False
accelerate = True  # the same results but for rounding, faster: docs/benchmarks.md

# `tools/train.py` and `tools/test.py` put gloo in place of nccl where there is no GPU.
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

custom_imports = dict(imports=['mmrefseg.registration'], allow_failed_imports=False)
default_scope = 'mmdet'
