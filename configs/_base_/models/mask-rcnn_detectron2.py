# detectron2's Mask R-CNN with FPN, on mmdet's. What is not named here is the same in both.
_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'

norm_cfg = dict(type='BN', requires_grad=False)  # frozen: with norm_eval it is detectron2's FrozenBN
rpn_coder = dict(_delete_=True, type='Detectron2BoxCoder', weights=(1.0, 1.0, 1.0, 1.0))
box_coder = dict(_delete_=True, type='Detectron2BoxCoder', weights=(10.0, 10.0, 5.0, 5.0))
extractor = dict(
    type='Detectron2RoIExtractor',
    out_channels=256,
    featmap_strides=[4, 8, 16, 32],
)
model = dict(
    # images are BGR from 0 to 255, less the mean of ImageNet
    data_preprocessor=dict(mean=[103.530, 116.280, 123.675], std=[1.0, 1.0, 1.0], bgr_to_rgb=False),
    # 'caffe': the stride is in the 1x1 convolution. Weights: tools/model_converters/detectron2.py R-50.pkl
    backbone=dict(
        norm_cfg=norm_cfg,
        style='caffe',
        init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='data/weights/R-50.pth'),
    ),
    rpn_head=dict(type='Detectron2RPNHead', bbox_coder=rpn_coder),
    roi_head=dict(
        type='Detectron2RoIHead',
        bbox_roi_extractor=dict(
            _delete_=True,
            **extractor,
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0, aligned=True),
        ),
        bbox_head=dict(type='Detectron2BoxHead', bbox_coder=box_coder),
        mask_roi_extractor=dict(
            _delete_=True,
            **extractor,
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0, aligned=True),
        ),
        # the same where every object has a mask; others teach box and class
        mask_head=dict(type='PartialMaskHead'),
    ),
    train_cfg=dict(
        rpn=dict(assigner=dict(type='Detectron2Assigner')),
        rcnn=dict(assigner=dict(type='Detectron2Assigner', match_low_quality=False)),
    ),
)
