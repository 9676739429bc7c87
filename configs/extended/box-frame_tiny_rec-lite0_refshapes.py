# The boxes-only network behind EfficientNet-Lite0 with ImageNet weights, which learn slowly. Fetch and convert
# them: `make test-weights`, then tools/model_converters/efficientnet_lite.py (docs/encoders.md).
_base_ = './box-frame_tiny_rec_refshapes.py'
model = dict(
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3),
    backbone=dict(
        _delete_=True,
        type='EfficientNetLite',
        out_indices=(2, 3, 4),  # strides 4, 8, 16
        init_cfg=dict(type='Pretrained', checkpoint='data/weights/efficientnet_lite0.pth'),
    ),
    neck=dict(in_channels=(24, 40, 112)),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.3))))
train_cfg = dict(val_interval=1)
