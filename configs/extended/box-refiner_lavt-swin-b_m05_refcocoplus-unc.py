# Few masks of RefCOCO+, behind LAVT: 5 % of them. As many steps as with all masks.
_base_ = './box-refiner_lavt-swin-b_m100_refcocoplus-unc.py'
load_from = 'work_dirs/lavt_swin-b-w12_480_m05_refcocoplus-unc/best.pth'
ann_file = 'annotations/refcocoplus-unc/instances_sample_5.json'
dataset = dict(_base_.train_dataloader.dataset, ann_file=ann_file)
train_dataloader = dict(dataset=dict(_delete_=True, type='RepeatDataset', times=20, dataset=dataset))
