# SigLIP 2 B/16, both of its towers: all masks of RefCOCO.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/encoder-res.py',
    '../_base_/datasets/refcoco_640.py',
    '../_base_/datasets/refcoco-unc.py',
    '../_base_/schedules/encoders_20e.py',
]
model = dict(
    backbone=dict(model='google/siglip2-base-patch16-224'),
    language_model=dict(model='google/siglip2-base-patch16-224'),
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
