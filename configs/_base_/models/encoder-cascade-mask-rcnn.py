# Cascade Mask R-CNN on image encoders of Hugging Face's transformers, with the heads of ViTDet (Li et al., ECCV 2022):
# two convolutions in the RPN, four and a linear layer for boxes, layer norms. A config names the encoder,
# model.backbone.model; a plain transformer does without FPN (neck=None, a fifth stride).
_base_ = 'mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py'

norm_cfg = dict(type='ChannelNorm')
box_heads = [
    dict(
        type='Shared4Conv1FCBBoxHead',
        in_channels=256,
        conv_out_channels=256,
        fc_out_channels=1024,
        roi_feat_size=7,
        num_classes=80,
        norm_cfg=norm_cfg,
        bbox_coder=dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=target_stds),
        reg_class_agnostic=True,
        loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
        loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0),
    )
    for target_stds in ([0.1, 0.1, 0.2, 0.2], [0.05, 0.05, 0.1, 0.1], [0.033, 0.033, 0.067, 0.067])
]
model = dict(
    # Images are RGB in 0..255: the encoder normalises them as its model was trained.
    data_preprocessor=dict(mean=None, std=None),
    backbone=dict(_delete_=True, type='HFBackbone', strides=(4, 8, 16, 32), frozen=False),
    neck=dict(in_channels=[128, 256, 512, 1024], norm_cfg=norm_cfg),
    rpn_head=dict(num_convs=2),
    roi_head=dict(
        bbox_head=box_heads,
        # objects without a mask teach box and class
        mask_head=dict(type='PartialMaskHead', norm_cfg=norm_cfg),
    ),
)
