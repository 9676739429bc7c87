# Box and mask of RefCOCO+ in one sequence, without jitter.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/seqtr_darknet53.py',
    '../_base_/datasets/refcocoplus-unc.py',
    '../_base_/schedules/seqtr_60e.py',
]
model = dict(language_model={{_base_.language}}, head=dict(codec={{_base_.codec}}, with_box=True))
train_pipeline = [
    dict(type='LoadRefImage'),
    dict(type='DrawExpression'),
    dict(type='LoadRefAnnotations'),
    dict(type='RefResize', scale=(640, 640)),
    dict(type='EncodeContour', codec={{_base_.codec}}),
    dict(type='PackRefInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
default_hooks = dict(checkpoint=dict(save_best='res/miou'))
