# Few masks of RefCOCOg (UMD split): 10 % of them; objects without one are left out. As many steps as with all masks.
_base_ = './box-refiner_darknet53_m100_refcocog-umd.py'
dataset = dict(_base_.train_dataloader.dataset, ann_file='annotations/refcocog-umd/instances_sample_10.json')
train_dataloader = dict(dataset=dict(_delete_=True, type='RepeatDataset', times=10, dataset=dataset))
