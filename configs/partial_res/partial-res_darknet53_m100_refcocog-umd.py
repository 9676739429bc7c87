# All masks of RefCOCOg (UMD split): the ceiling, and what the stages with fewer masks inherit.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/partial-res_darknet53.py',
    '../_base_/datasets/refcoco_640.py',
    '../_base_/datasets/refcocog-umd.py',
    '../_base_/schedules/seqtr_90e.py',
]
load_from = 'work_dirs/partial-res_darknet53_rec_refcocog-umd/best.pth'
model = dict(
    backbone=dict(init_cfg=None),  # load_from brings its weights
    language_model=_base_.language,
    head=dict(codec=_base_.codec),
)
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
