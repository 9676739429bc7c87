# Pre-training for comprehension on the mixed set: 15 epochs on 8 GPUs (16 objects on each), without jitter and average.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/seqtr_darknet53.py',
    '../_base_/datasets/refcoco_640.py',
    '../_base_/datasets/mixed.py',
    '../_base_/schedules/seqtr_60e.py',
]
model = dict(
    language_model=_base_.language,
    head=dict(codec=_base_.codec, with_box=True, with_mask=False),
)
train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        **_base_.source,
        pipeline=[
            *_base_.load_steps,
            dict(type='LoadRefAnnotations', with_mask=False),
            _base_.resize,
            dict(type='EncodeContour', codec=_base_.codec),
            dict(type='PackRefInputs'),
        ],
    ),
)
# Each set keeps its own splits: --which-set val_refcoco_unc, testA_refcoco_unc, val_flickr30k...
val_dataloader = dict(
    dataset=dict(**_base_.source, split='val_refcoco_unc', pipeline=_base_.box_test_pipeline)
)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='RECMetric')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='rec/acc50'))
train_cfg = dict(max_epochs=15)
param_scheduler = [
    dict(type='LinearLR', start_factor=1 / 2, by_epoch=True, begin=0, end=2),
    dict(type='MultiStepLR', milestones=[11], gamma=0.1, by_epoch=True),
]
custom_hooks = []
