# Swin-B and BERT: all masks of RefCOCOg (UMD split).
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/encoder-res.py',
    '../_base_/datasets/refcoco_640.py',
    '../_base_/datasets/refcocog-umd.py',
    '../_base_/schedules/encoders_20e.py',
]
model = dict(
    backbone=dict(model='microsoft/swin-base-patch4-window7-224-in22k'),
    language_model=dict(model='google-bert/bert-base-uncased'),
    head=dict(codec=_base_.codec),
)
train_dataloader = dict(
    batch_size=16,  # objects, on each GPU
    dataset=dict(
        **_base_.source,
        require_masks=False,
        pipeline=[
            *_base_.load_steps,
            dict(type='LoadRefAnnotations'),
            dict(**_base_.jitter, crop_by='bbox'),
            _base_.encode,
            dict(type='PackRefInputs'),
        ],
    ),
)
val_dataloader = dict(dataset=_base_.source)
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best='res/oiou'))
