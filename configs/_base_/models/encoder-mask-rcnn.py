# Mask R-CNN on image encoders of Hugging Face's transformers, with the heads of ViTDet (Li et al., ECCV 2022): two
# convolutions in the RPN, four and a linear layer for boxes, layer norms. A config names the encoder,
# model.backbone.model; a plain transformer does without FPN (neck=None, a fifth stride).
_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'

norm_cfg = dict(type='ChannelNorm')
model = dict(
    # Images are RGB in 0..255: the encoder normalises them as its model was trained.
    data_preprocessor=dict(mean=None, std=None),
    backbone=dict(_delete_=True, type='HFBackbone', strides=(4, 8, 16, 32), frozen=False),
    neck=dict(in_channels=[128, 256, 512, 1024], norm_cfg=norm_cfg),
    rpn_head=dict(num_convs=2),
    roi_head=dict(
        bbox_head=dict(type='Shared4Conv1FCBBoxHead', conv_out_channels=256, norm_cfg=norm_cfg),
        # objects without a mask teach box and class
        mask_head=dict(type='PartialMaskHead', norm_cfg=norm_cfg),
    ),
)
