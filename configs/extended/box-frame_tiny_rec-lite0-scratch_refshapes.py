# The same network from random weights, at the rate of the other backbones that start so.
_base_ = './box-frame_tiny_rec-lite0_refshapes.py'
model = dict(backbone=dict(init_cfg=None))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=3.0))))
