# Stage 3a: pseudo masks in the boxes without a mask, by what boxes alone taught.
# `tools/test.py` with it writes one line per object and expression.
_base_ = './box-refiner_tiny_m100_refshapes.py'
load_from = 'work_dirs/box-refiner_tiny_m00_refshapes/best.pth'
model = dict(test_cfg=dict(confine_to_box=True))
prefix = 'work_dirs/box-refiner_tiny_m00-pseudo_refshapes/pseudo'
test_dataloader = dict(
    dataset=dict(
        ann_file='annotations/refshapes_small/instances_sample_0.json',
        split='train',
        pipeline=_base_.pseudo_pipeline,
        skip_predicted=prefix + '.rank*.jsonl',
    )
)
test_evaluator = dict(_delete_=True, type='PseudoLabelDump', outfile_prefix=prefix)
