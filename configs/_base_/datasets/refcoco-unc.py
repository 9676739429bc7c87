# RefCOCO (UNC split): up to 15 words; 18 points a contour, in order.
data_root = 'data/'
ann_folder = 'annotations/refcoco-unc/'
image_size = 640
codec = dict(type='ContourCodec', num_points=18, num_bins=1000, sampling='uniform', pad_divisor=32)

# Both files from one command (README.md says which). The originals' files do as well: token_to_ix.pkl as the
# vocabulary's file and vectors='original:.../word_emb.npz'. vectors=None learns them from scratch.
language = dict(
    vocabulary=dict(file='data/annotations/refcoco-unc/vocab.json'),
    vectors='npz:data/annotations/refcoco-unc/vocab.npz',
    max_tokens=15,
)

train_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='LoadRefAnnotations'),
    dict(type='LargeScaleJitter', out_max_size=image_size, jitter_min=0.3, jitter_max=1.4, crop_by='mask'),
    dict(type='EncodeContour', codec=codec),
    dict(type='PackRefInputs'),
]
test_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='RefResize', scale=(image_size, image_size)),
    dict(type='LoadRefAnnotations'),
    dict(type='PackRefInputs'),
]
# For comprehension, and to predict where masks are withheld.
box_train_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='LoadRefAnnotations', with_mask=False),
    dict(type='LargeScaleJitter', out_max_size=image_size, jitter_min=0.3, jitter_max=1.4, crop_by='bbox'),
    dict(type='EncodeContour', codec=codec),
    dict(type='PackRefInputs'),
]
box_test_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='RefResize', scale=(image_size, image_size)),
    dict(type='LoadRefAnnotations', with_mask=False),
    dict(type='PackRefInputs'),
]

dataset = dict(
    type='RefSegDataset',
    data_root=data_root,
    data_prefix=dict(img_path='images/mscoco/train2014'),
)
train_dataloader = dict(
    batch_size=128,  # objects, on each GPU
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(
        **dataset,
        ann_file=ann_folder + 'instances.json',
        split='train',
        require_masks=True,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    # All expressions of a picture share its pass through the backbone.
    dataset=dict(
        **dataset,
        ann_file=ann_folder + 'instances.json',
        split='val',
        group_by='image',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
# The split of a test: tools/test.py ... --which-set val, testA or testB.
test_dataloader = val_dataloader

val_evaluator = dict(type='RESMetric')
test_evaluator = val_evaluator
