# RefCOCO's images as LAVT takes them, stretched to a square. A config names its data set's annotations: `ann_file`.
data_root = 'data/'
image_size = (480, 480)  # width, height

load_steps = [dict(type='LoadRefImage'), dict(type='DrawExpression')]
stretch = dict(type='RefResize', scale=image_size, keep_ratio=False, backend='pillow')
train_pipeline = [*load_steps, dict(type='LoadRefAnnotations'), stretch, dict(type='PackRefInputs')]
# Truth is loaded behind the resize: it stays in the image's own frame.
test_pipeline = [*load_steps, stretch, dict(type='LoadRefAnnotations'), dict(type='PackRefInputs')]
# To predict where masks are withheld.
box_test_pipeline = [
    *load_steps,
    stretch,
    dict(type='LoadRefAnnotations', with_mask=False),
    dict(type='PackRefInputs'),
]

dataset = dict(
    type='RefSegDataset',
    data_root=data_root,
    data_prefix=dict(img_path='images/mscoco/train2014'),
)
train_dataloader = dict(
    batch_size=8,  # objects, on each of 4 GPUs
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**dataset, split='train', require_masks=True, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    # All expressions of an image share the stage before the first gate.
    dataset=dict(**dataset, split='val', group_by='image', test_mode=True, pipeline=test_pipeline),
)
# The split of a test: tools/test.py ... --which-set val, testA or testB.
test_dataloader = val_dataloader

val_evaluator = dict(type='RESMetric')
test_evaluator = val_evaluator
