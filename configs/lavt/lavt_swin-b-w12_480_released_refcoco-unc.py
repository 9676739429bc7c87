# LAVT on RefCOCO as its released code trains it, by which the published numbers were reached.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/lavt_swin-b-w12.py',
    '../_base_/datasets/refcoco_480.py',
    '../_base_/schedules/lavt_40e.py',
]
model = dict(
    # BERT's last two layers and its embeddings stay as they are.
    language_model=dict(trained_layers=10, train_embeddings=False),
    # background, object
    decode_head=dict(loss=dict(class_weight=(0.9, 1.1))),
)
# Pixels in two polygons of an object are background.
train_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='LoadRefAnnotations', overlap='background'),
    dict(type='RefResize', scale=(480, 480), keep_ratio=False, backend='pillow'),
    dict(type='PackRefInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
default_hooks = dict(checkpoint=dict(save_best='res/oiou'))
