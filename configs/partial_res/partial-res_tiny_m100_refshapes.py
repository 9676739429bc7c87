# All masks: the ceiling, and what the other stages inherit.
_base_ = [
    '../_base_/default_runtime.py',
    '../_base_/models/partial-res_tiny.py',
    '../_base_/datasets/refshapes.py',
    '../_base_/schedules/refshapes_steps.py',
]
# The comprehension network that both networks on RefShapes share.
load_from = 'work_dirs/box-frame_tiny_rec_refshapes/best.pth'
model = dict(head=dict(codec={{_base_.codec}}))
train_dataloader = dict(batch_size=8, sampler=dict(type='InfiniteSampler'))
# Steps are counted, not epochs.
default_hooks = dict(checkpoint=dict(by_epoch=False, interval={{_base_.max_iters}}, save_best='res/miou'))
log_processor = dict(by_epoch=False)
