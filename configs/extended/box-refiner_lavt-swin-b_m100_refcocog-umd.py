# All masks of RefCOCOg (UMD split), behind LAVT: the refiner draws its masks anew, each in the box around it. LAVT stays as it is.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/lavt_swin-b-w12.py',
    '../_base_/datasets/refcoco_480.py',
    '../_base_/schedules/box-refiner.py',
]
ann_file = 'annotations/refcocog-umd/instances.json'
load_from = 'work_dirs/lavt_swin-b-w12_480_refcocog-umd/best.pth'
lavt = dict(_base_.model, backbone=dict(_base_.model.backbone, init_cfg=None))  # load_from brings its weights
# LAVT's own mask is read as well: where its box is wrong, so is its mask, and the refiner can see it.
refiner = dict(_base_.refiner, coarse=True)
model = dict(_delete_=True, type='RefinedSegmentor', segmentor=lavt, refiner=refiner)
train_dataloader = dict(batch_size=64, dataset=dict(ann_file=ann_file))
val_dataloader = dict(dataset=dict(ann_file=ann_file))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best='res/miou'))
