# The test of a detector on COCO's images, without a network: an odd number of them.
_base_ = ['mmdet::_base_/default_runtime.py', '../../configs/_base_/instance_runtime.py']

custom_imports = dict(imports=['mmrefseg.registration', 'echo_detector'])
model = dict(type='EchoDetector')
# Truth is loaded behind the resize, in the image's own frame.
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CocoInstanceDataset',
        data_root='coco/',
        ann_file='annotations/instances_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        indices=31,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=(32, 32), keep_ratio=True),
            dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape')),
        ],
    ),
)
test_evaluator = dict(type='InstanceMetric', ann_file='coco/annotations/instances_val2017.json')
test_cfg = dict(type='TestLoop')
