# LAVT on SigLIP 2 B/16, both of its towers: all masks of RefCOCO+.
# Late gates, on the maps of a pyramid: an image is seen once, whatever the number of its sentences.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/encoder-lavt.py',
    '../_base_/datasets/refcoco_480.py',
    '../_base_/schedules/lavt_40e.py',
]
ann_file = 'annotations/refcocoplus-unc/instances.json'
# ViTDet's layer-wise decay of ViT-B (Li et al., ECCV 2022), whose rate at this batch is
# LAVT's. SigLIP has no drop path.
model = dict(
    backbone=dict(encoder=dict(model='google/siglip2-base-patch16-224', out_channels=_base_.channels)),
    language_model=dict(model='google/siglip2-base-patch16-224'),
)
optim_wrapper = dict(
    constructor='LayerDecayConstructor', paramwise_cfg=dict(layer_decay={'backbone.encoder': 0.7})
)
train_dataloader = dict(dataset=dict(ann_file=ann_file))
val_dataloader = dict(dataset=dict(ann_file=ann_file))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best='res/oiou'))
