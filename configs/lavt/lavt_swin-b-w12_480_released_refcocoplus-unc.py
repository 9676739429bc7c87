# LAVT on RefCOCO+ as its released code trains it.
_base_ = './lavt_swin-b-w12_480_released_refcoco-unc.py'
ann_file = 'annotations/refcocoplus-unc/instances.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
val_dataloader = dict(dataset=dict(ann_file=ann_file))
test_dataloader = val_dataloader
