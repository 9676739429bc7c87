# Late LAVT as a pseudo-labeller on RefShapes: masks for all training objects, by what 5 % of the masks taught it.
_base_ = './late-lavt_tiny_refshapes.py'
load_from = 'work_dirs/late-lavt_tiny_m05_refshapes/best.pth'
prefix = 'work_dirs/late-lavt_tiny_m05-pseudo_refshapes/pseudo'
# The true boxes are known here: masks are cut at them.
model = dict(test_cfg=dict(confine_to_box=True))
test_dataloader = dict(
    dataset=dict(
        ann_file='annotations/refshapes_small/instances_sample_5.json',
        split='train',
        pipeline=_base_.pseudo_pipeline,
        skip_predicted=prefix + '.rank*.jsonl',
    )
)
test_evaluator = dict(_delete_=True, type='PseudoLabelDump', outfile_prefix=prefix)
