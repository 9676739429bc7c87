# Few masks: 5 % of them; objects without one are left out. About as many steps as from boxes alone (m00).
_base_ = './box-refiner_tiny_m100_refshapes.py'
dataset = dict(
    _base_.train_dataloader.dataset, ann_file='annotations/refshapes_small/instances_sample_5.json'
)
train_dataloader = dict(dataset=dict(_delete_=True, type='RepeatDataset', times=9, dataset=dataset))
train_cfg = _base_.few_masks_loop
param_scheduler = _base_.few_masks_rate
