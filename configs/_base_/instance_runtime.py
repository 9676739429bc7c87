# What a child of one of mmdet's own instance segmentation configs adds to mmdet's runtime: `latest.pth` and `best.pth`
# in the work directory, a refusal of another model's checkpoint, checkpoints that carry their encoder, exact resuming, an
# end where the loss is NaN, a progress bar.
custom_hooks = [
    dict(type='EpochSeedHook'),
    dict(type='CheckpointCheckHook'),
    dict(type='CheckpointLinkHook'),
    dict(type='SelfContainedHook'),
    dict(type='FiniteLossHook'),
    dict(type='RichProgressHook'),
]
custom_imports = dict(imports=['mmrefseg.registration'], allow_failed_imports=False)
