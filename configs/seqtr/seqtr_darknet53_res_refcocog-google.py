# Segmentation on RefCOCOg (Google split), from scratch.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/seqtr_darknet53.py',
    '../_base_/datasets/refcoco_640.py',
    '../_base_/datasets/refcocog-google.py',
    '../_base_/schedules/seqtr_90e.py',
]
model = dict(language_model=_base_.language, head=dict(codec=_base_.codec))
train_dataloader = dict(
    dataset=dict(
        **_base_.source,
        require_masks=True,
        pipeline=[*_base_.train_steps, _base_.encode, dict(type='PackRefInputs')],
    )
)
val_dataloader = dict(dataset=_base_.source)
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best='res/miou'))
