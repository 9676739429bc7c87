# Five epochs on RefCOCOg (UMD split) after pre-training on the mixed set, without jitter and average.
_base_ = './seqtr_darknet53_rec_refcocog-umd.py'
load_from = 'work_dirs/seqtr_darknet53_rec_mixed/best.pth'
# The words of the pre-training, which are the rows of its table.
model = dict(
    backbone=dict(init_cfg=None),  # load_from brings its weights
    language_model=dict(
        vocabulary=dict(file='data/annotations/mixed/vocab.json'),
        vectors='npz:data/annotations/mixed/vocab.npz',
        max_tokens=40,
    ),
)
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            *_base_.load_steps,
            dict(type='LoadRefAnnotations', with_mask=False),
            _base_.resize,
            dict(type='EncodeContour', codec=_base_.codec),
            dict(type='PackRefInputs'),
        ]
    )
)
train_cfg = dict(max_epochs=5)
param_scheduler = [dict(type='MultiStepLR', milestones=[3], gamma=0.1, by_epoch=True)]
custom_hooks = []
