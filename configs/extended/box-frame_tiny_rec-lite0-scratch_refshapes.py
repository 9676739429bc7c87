# The network of box-frame_tiny_rec-lite0_refshapes.py from random weights, at the rate of the other backbones that start so.
_base_ = './box-frame_tiny_rec_refshapes.py'
model = dict(
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3),
    backbone=dict(_delete_=True, type='EfficientNetLite', out_indices=(2, 3, 4), init_cfg=None),
    neck=dict(in_channels=(24, 40, 112)),
)
train_cfg = dict(val_interval=1)
