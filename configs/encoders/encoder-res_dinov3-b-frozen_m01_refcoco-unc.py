# Frozen DINOv3 ViT-B and ModernBERT, each image computed once: 1 % of the masks of RefCOCO, and all boxes. Images stay
# as they are, padded to one size: another crop, size or padding would be another image. What learns is smaller, too.
_base_ = './encoder-res_dinov3-b_m100_refcoco-unc.py'
channels = 256
model = dict(
    data_preprocessor=dict(pad_size_divisor=_base_.image_size),
    backbone=dict(frozen=True, out_channels=channels),
    language_model=dict(frozen=True, out_channels=channels),
    neck=dict(in_channels=(channels, channels, channels), out_channels=channels),
    head=dict(in_channels=channels),
)
train_dataloader = dict(
    dataset=dict(
        ann_file='annotations/refcoco-unc/instances_sample_1.json',
        pipeline=[
            *_base_.load_steps,
            dict(type='LoadRefAnnotations'),
            _base_.resize,
            _base_.encode,
            dict(type='PackRefInputs'),
        ],
    )
)
custom_hooks = [dict(type='FeatureCacheHook')]
