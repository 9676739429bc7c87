# Comprehension on Flickr30k Entities.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/seqtr_darknet53.py',
    '../_base_/datasets/flickr30k.py',
    '../_base_/schedules/seqtr_60e.py',
]
model = dict(
    language_model={{_base_.language}},
    head=dict(codec={{_base_.codec}}, with_box=True, with_mask=False),
)
default_hooks = dict(checkpoint=dict(save_best='rec/acc50'))
