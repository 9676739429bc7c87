# Segmentation on RefCOCO+, from scratch.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/seqtr_darknet53.py',
    '../_base_/datasets/refcocoplus-unc.py',
    '../_base_/schedules/seqtr_90e.py',
]
model = dict(language_model={{_base_.language}}, head=dict(codec={{_base_.codec}}))
default_hooks = dict(checkpoint=dict(save_best='res/miou'))
