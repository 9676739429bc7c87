# LAVT on RefCOCO.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/lavt_swin-b-w12.py',
    '../_base_/datasets/refcoco_480.py',
    '../_base_/schedules/lavt_40e.py',
]
default_hooks = dict(checkpoint=dict(save_best='res/oiou'))
