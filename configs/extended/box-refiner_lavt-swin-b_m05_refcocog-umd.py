# Few masks of RefCOCOg (UMD split), behind LAVT: 5 % of them. As many steps as with all masks.
_base_ = './box-refiner_lavt-swin-b_m100_refcocog-umd.py'
load_from = 'work_dirs/lavt_swin-b-w12_480_m05_refcocog-umd/best.pth'
ann_file = 'annotations/refcocog-umd/instances_sample_5.json'
dataset = dict(_base_.train_dataloader.dataset, ann_file=ann_file)
train_dataloader = dict(dataset=dict(_delete_=True, type='RepeatDataset', times=20, dataset=dataset))
