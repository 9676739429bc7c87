# Few masks of RefCOCO+: 1 % of them; objects without one are left out. As many steps as with all masks.
_base_ = './box-refiner_darknet53_m100_refcocoplus-unc.py'
dataset = dict(
    _base_.train_dataloader.dataset, ann_file='annotations/refcocoplus-unc/instances_sample_1.json'
)
train_dataloader = dict(dataset=dict(_delete_=True, type='RepeatDataset', times=100, dataset=dataset))
