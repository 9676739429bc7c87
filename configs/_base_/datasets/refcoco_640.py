# Images and sentences as SeqTR and Partial-RES take them, at 640 pixels. The data set is named beside this file:
# refcoco-unc, refcocoplus-unc, refcocog-umd, refcocog-google, referit, flickr30k or mixed. A config joins the two:
# `source` goes into the loaders' data sets, `codec` into pipeline and head, `language` into the model.
#
# The two files that `language` names come from one command (configs/partial_res/README.md says which). The originals'
# do as well: token_to_ix.pkl as the vocabulary's file and vectors='original:.../word_emb.npz'. vectors=None learns
# them from scratch.
data_root = 'data/'
image_size = 640

load_steps = [dict(type='LoadRefImage'), dict(type='DrawExpression')]
resize = dict(type='RefResize', scale=(image_size, image_size))
jitter = dict(type='LargeScaleJitter', out_max_size=image_size, jitter_min=0.3, jitter_max=1.4)
# What a training does before the codec encodes.
train_steps = [*load_steps, dict(type='LoadRefAnnotations'), dict(**jitter, crop_by='mask')]
box_train_steps = [
    *load_steps,
    dict(type='LoadRefAnnotations', with_mask=False),
    dict(**jitter, crop_by='bbox'),
]
# Truth is loaded behind the resize: it stays in the image's own frame.
test_pipeline = [*load_steps, resize, dict(type='LoadRefAnnotations'), dict(type='PackRefInputs')]
# For comprehension, and to predict where masks are withheld.
box_test_pipeline = [
    *load_steps,
    resize,
    dict(type='LoadRefAnnotations', with_mask=False),
    dict(type='PackRefInputs'),
]

train_dataloader = dict(
    batch_size=128,  # objects, on each GPU
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(type='RefSegDataset', data_root=data_root, split='train'),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    # All expressions of an image share its pass through the backbone.
    dataset=dict(
        type='RefSegDataset',
        data_root=data_root,
        split='val',
        group_by='image',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
# The split of a test: tools/test.py ... --which-set.
test_dataloader = val_dataloader

val_evaluator = dict(type='RESMetric')
test_evaluator = val_evaluator
