# Words that were never trained on (docs/encoders.md): the vocabulary's GRU, learned anew in the shipped boxes-only network,
# whose image part stays as it is. Training says one word for each thing; val_synonyms and testA_synonyms say others.
# Made by `tools/dataset_converters/create_refshapes.py --size small --synonyms`.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/box-frame_tiny.py',
    '../_base_/datasets/refshapes.py',
    '../_base_/schedules/refshapes.py',
]
max_epochs = 2
ann_file = 'annotations/refshapes_small/instances_synonyms.json'
words_file = 'data/annotations/refshapes_small/vocab_usual.json'  # of the training sentences
model = dict(
    backbone=dict(frozen_layers=14),
    language_model=dict(vocabulary=dict(_delete_=True, file=words_file, max_tokens=16)),
    head=dict(codec={{_base_.codec}}),
    # no WordHead: it predicts words of a vocabulary, which a pretrained encoder has none of
    auxiliary_heads=[_base_.fused_cell_head, _base_.encoded_cell_head],
)
train_dataloader = dict(
    batch_size=16, dataset=dict(ann_file=ann_file, pipeline={{_base_.rec_pipeline}}, require_masks=False)
)
val_dataloader = dict(dataset=dict(ann_file=ann_file, pipeline={{_base_.pseudo_pipeline}}))
test_dataloader = dict(dataset=dict(ann_file=ann_file, pipeline={{_base_.pseudo_pipeline}}))
val_evaluator = dict(_delete_=True, type='RECMetric')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', T_max=max_epochs, eta_min_ratio=0.02, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(save_best='rec/acc50'))
custom_hooks = [
    dict(type='TrainOnlyHook', modules=['language_model', 'head']),
    dict(type='FeatureCacheHook'),
    dict(type='FeatureCacheHook', module='neck'),
]
