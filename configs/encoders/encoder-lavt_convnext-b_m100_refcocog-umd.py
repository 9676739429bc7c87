# LAVT on ConvNeXt-B and RoBERTa: all masks of RefCOCOg (UMD split).
# Gates in the stages: the next stage sees the words.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/encoder-lavt.py',
    '../_base_/datasets/refcoco_480.py',
    '../_base_/schedules/lavt_40e.py',
]
ann_file = 'annotations/refcocog-umd/instances.json'
# ConvNeXt-B's stage-wise decay and drop path of its segmentation on ADE20K (Liu et al., CVPR 2022).
model = dict(
    backbone=dict(
        encoder=dict(model='facebook/convnext-base-224-22k@refs/pr/1', config=dict(drop_path_rate=0.4))
    ),
    language_model=dict(model='FacebookAI/roberta-base'),
)
optim_wrapper = dict(
    constructor='LayerDecayConstructor', paramwise_cfg=dict(layer_decay={'backbone.encoder': 0.9})
)
train_dataloader = dict(dataset=dict(ann_file=ann_file))
val_dataloader = dict(dataset=dict(ann_file=ann_file))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best='res/oiou'))
