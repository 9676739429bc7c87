# LAVT on DINOv3 ViT-B and ModernBERT: all masks of RefCOCOg (UMD split).
# Late gates, on the maps of a pyramid: an image is seen once, whatever the number of its sentences.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/encoder-lavt.py',
    '../_base_/datasets/refcoco_480.py',
    '../_base_/schedules/lavt_40e.py',
]
ann_file = 'annotations/refcocog-umd/instances.json'
# ViTDet's layer-wise decay and drop path of ViT-B (Li et al., ECCV 2022), whose rate at this batch
# is LAVT's.
model = dict(
    backbone=dict(
        encoder=dict(
            model='facebook/dinov3-vitb16-pretrain-lvd1689m',
            out_channels=_base_.channels,
            config=dict(drop_path_rate=0.1),
        )
    ),
    language_model=dict(model='answerdotai/ModernBERT-base'),
)
optim_wrapper = dict(
    constructor='LayerDecayConstructor', paramwise_cfg=dict(layer_decay={'backbone.encoder': 0.7})
)
train_dataloader = dict(dataset=dict(ann_file=ann_file))
val_dataloader = dict(dataset=dict(ann_file=ann_file))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best='res/oiou'))
