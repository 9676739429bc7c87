# LAVT on Swin-B and BERT: all masks of RefCOCO+.
# Gates in the stages: the next stage sees the words.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/encoder-lavt.py',
    '../_base_/datasets/refcoco_480.py',
    '../_base_/schedules/lavt_40e.py',
]
ann_file = 'annotations/refcocoplus-unc/instances.json'
# LAVT's drop path.
model = dict(
    backbone=dict(
        encoder=dict(model='microsoft/swin-base-patch4-window7-224-in22k', config=dict(drop_path_rate=0.3))
    ),
    language_model=dict(model='google-bert/bert-base-uncased'),
)
train_dataloader = dict(dataset=dict(ann_file=ann_file))
val_dataloader = dict(dataset=dict(ann_file=ann_file))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best='res/oiou'))
