# All masks: the ceiling, and what the other stages inherit.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/partial-res_tiny.py',
    '../_base_/datasets/refshapes.py',
    '../_base_/schedules/refshapes_steps.py',
]
# The boxes-only network that comes with the package, which both networks on RefShapes start from.
load_from = 'mmrefseg://rec_tiny_refshapes'
model = dict(head=dict(codec={{_base_.codec}}))
train_dataloader = dict(batch_size=8, sampler=dict(type='InfiniteSampler'))
# Steps are counted, not epochs.
default_hooks = dict(checkpoint=dict(by_epoch=False, interval={{_base_.max_iters}}, save_best='res/miou'))
log_processor = dict(by_epoch=False)
