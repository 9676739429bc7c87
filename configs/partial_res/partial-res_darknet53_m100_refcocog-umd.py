# All masks of RefCOCOg: the ceiling, and what the stages with fewer masks inherit.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/partial-res_darknet53.py',
    '../_base_/datasets/refcocog-umd.py',
    '../_base_/schedules/seqtr_90e.py',
]
model = dict(
    backbone=dict(init_cfg=None),  # load_from brings its weights
    language_model={{_base_.language}},
    head=dict(codec={{_base_.codec}}),
)
load_from = 'work_dirs/partial-res_darknet53_rec_refcocog-umd/best.pth'
default_hooks = dict(checkpoint=dict(save_best='res/miou'))
