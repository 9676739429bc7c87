# Swin-B and BERT: comprehension on RefCOCOg (UMD split), boxes only.
_base_ = './encoder-res_swin-b_m100_refcocog-umd.py'
model = dict(head=dict(with_mask=False))
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            *_base_.box_train_steps,
            dict(type='EncodeContour', codec=_base_.codec),
            dict(type='PackRefInputs'),
        ]
    )
)
val_dataloader = dict(dataset=dict(pipeline=_base_.box_test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='RECMetric')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='rec/acc50'))
