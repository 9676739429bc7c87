# RefShapes small: made by `tools/dataset_converters/create_refshapes.py --size small` in a minute.
data_root = 'data/'
ann_folder = 'annotations/refshapes_small/'
image_size = (128, 128)
codec = dict(
    type='ContourCodec', num_points=18, num_bins=128, sampling='even_above', bin_center=True, pad_divisor=32
)

# All pairs of an image share its pass through the backbone, in training too.
train_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='LoadRefAnnotations', with_mask=True),
    dict(type='RefResize', scale=image_size),
    dict(type='EncodeContour', codec=codec),
    dict(type='PackRefInputs'),
]
# Boxes only: stage 1.
rec_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='LoadRefAnnotations', with_mask=False),
    dict(type='RefResize', scale=image_size),
    dict(type='EncodeContour', codec=codec),
    dict(type='PackRefInputs'),
]
test_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='RefResize', scale=image_size),
    dict(type='LoadRefAnnotations', with_mask=True),
    dict(type='PackRefInputs'),
]
# Boxes only, in the original frame: testing REC, and sets that shall get pseudo masks.
pseudo_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='RefResize', scale=image_size),
    dict(type='LoadRefAnnotations', with_mask=False),
    dict(type='PackRefInputs'),
]

dataset = dict(
    type='RefSegDataset',
    data_root=data_root,
    data_prefix=dict(img_path='images/refshapes_small'),
    group_by='image',
)
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **dataset,
        ann_file=ann_folder + 'instances.json',
        split='train',
        require_masks=True,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        ann_file=ann_folder + 'instances.json',
        split='val',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        ann_file=ann_folder + 'instances.json',
        split='testA',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='RESMetric')
test_evaluator = dict(type='RESMetric')
