# LAVT on RefCOCO.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/lavt_swin-b-w12.py',
    '../_base_/datasets/refcoco_480.py',
    '../_base_/schedules/lavt_40e.py',
]
ann_file = 'annotations/refcoco-unc/instances.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
val_dataloader = dict(dataset=dict(ann_file=ann_file))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best='res/oiou'))
