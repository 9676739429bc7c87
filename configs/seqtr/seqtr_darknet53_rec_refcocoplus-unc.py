# Comprehension on RefCOCO+.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/seqtr_darknet53.py',
    '../_base_/datasets/refcoco_640.py',
    '../_base_/datasets/refcocoplus-unc.py',
    '../_base_/schedules/seqtr_60e.py',
]
model = dict(
    language_model=_base_.language,
    head=dict(codec=_base_.codec, with_box=True, with_mask=False),
)
train_dataloader = dict(
    dataset=dict(
        **_base_.source,
        require_masks=False,
        pipeline=[
            *_base_.box_train_steps,
            dict(type='EncodeContour', codec=_base_.codec),
            dict(type='PackRefInputs'),
        ],
    )
)
val_dataloader = dict(dataset=dict(**_base_.source, pipeline=_base_.box_test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='RECMetric')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='rec/acc50'))
