# LAVT on RefCOCO as its released code trains it, by which the published numbers were reached.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/lavt_swin-b-w12.py',
    '../_base_/datasets/refcoco_480.py',
    '../_base_/schedules/lavt_40e.py',
]
ann_file = 'annotations/refcoco-unc/instances.json'
model = dict(
    # BERT's last two layers and its embeddings stay as they are.
    language_model=dict(trained_layers=10, train_embeddings=False),
    # background, object
    decode_head=dict(loss=dict(class_weight=(0.9, 1.1))),
)
# Pixels in two polygons of an object are background.
train_pipeline = [
    *_base_.load_steps,
    dict(type='LoadRefAnnotations', overlap='background'),
    _base_.stretch,
    dict(type='PackRefInputs'),
]
train_dataloader = dict(dataset=dict(ann_file=ann_file, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(ann_file=ann_file))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best='res/oiou'))
