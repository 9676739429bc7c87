# Box and mask of RefCOCOg (UMD split) in one sequence, without jitter.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/seqtr_darknet53.py',
    '../_base_/datasets/refcoco_640.py',
    '../_base_/datasets/refcocog-umd.py',
    '../_base_/schedules/seqtr_60e.py',
]
model = dict(language_model=_base_.language, head=dict(codec=_base_.codec, with_box=True))
train_dataloader = dict(
    dataset=dict(
        **_base_.source,
        require_masks=True,
        pipeline=[
            *_base_.load_steps,
            dict(type='LoadRefAnnotations'),
            _base_.resize,
            dict(type='EncodeContour', codec=_base_.codec),
            dict(type='PackRefInputs'),
        ],
    )
)
val_dataloader = dict(dataset=_base_.source)
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best='res/miou'))
