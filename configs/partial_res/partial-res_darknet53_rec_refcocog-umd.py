# Stage 1: comprehension on RefCOCOg (UMD split), boxes only. Stages 2 and 3b start from its best checkpoint.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/partial-res_darknet53.py',
    '../_base_/datasets/refcoco_640.py',
    '../_base_/datasets/refcocog-umd.py',
    '../_base_/schedules/seqtr_60e.py',
]
model = dict(
    language_model=_base_.language,
    head=dict(codec=_base_.codec, with_box=True, with_mask=False, task_prompt=False),
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
