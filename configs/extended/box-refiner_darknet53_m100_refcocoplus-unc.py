# All masks of RefCOCO+: the ceiling, and what the stages with fewer masks inherit. Boxes are those of Partial-RES'
# boxes-only network, which stays as it is; the refiner draws the masks in them.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/partial-res_darknet53.py',
    '../_base_/datasets/refcoco_640.py',
    '../_base_/datasets/refcocoplus-unc.py',
    '../_base_/schedules/box-refiner.py',
]
load_from = 'work_dirs/partial-res_darknet53_rec_refcocoplus-unc/best.pth'
boxes = dict(
    _base_.model,
    backbone=dict(_base_.model.backbone, init_cfg=None),  # load_from brings its weights
    language_model=dict(_base_.model.language_model, **_base_.language),
    head=dict(_base_.model.head, codec=_base_.codec, with_box=True, with_mask=False, task_prompt=False),
)
model = dict(_delete_=True, type='RefinedSegmentor', segmentor=boxes, refiner=_base_.refiner)
train_pipeline = [*_base_.train_steps, dict(type='PackRefInputs')]
box_pipeline = [*_base_.box_train_steps, dict(type='PackRefInputs')]
# Of the stage that learns scores: mirror images of the training set, as large as in testing. On these the frozen
# network errs about as often as on new images.
quality_pipeline = [
    *_base_.load_steps,
    dict(type='LoadRefAnnotations'),
    _base_.resize,
    dict(type='RefFlip', prob=1.0),
    dict(type='PackRefInputs'),
]
train_dataloader = dict(
    batch_size=64, dataset=dict(**_base_.source, require_masks=True, pipeline=train_pipeline)
)
val_dataloader = dict(dataset=_base_.source)
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best='res/miou'))
