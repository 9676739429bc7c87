# DINOv3 ViT-B and ModernBERT: all masks of RefCOCO+.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/encoder-res.py',
    '../_base_/datasets/refcoco_640.py',
    '../_base_/datasets/refcocoplus-unc.py',
    '../_base_/schedules/encoders_20e.py',
]
model = dict(
    backbone=dict(model='facebook/dinov3-vitb16-pretrain-lvd1689m'),
    language_model=dict(model='answerdotai/ModernBERT-base'),
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
