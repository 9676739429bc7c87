# Stage 3a: pseudo points for the boxes without a mask, from 1 % of the masks.
# `tools/test.py` with it writes one line per object and expression.
_base_ = './box-frame_tiny_m100_refshapes.py'
load_from = 'work_dirs/box-frame_tiny_m01_refshapes/best.pth'
# The dense mask of the box's cells learns its shapes from fewer masks than the decoder does.
model = dict(head=dict(contours_from='cells'))
prefix = 'work_dirs/box-frame_tiny_m01-pseudo_refshapes/pseudo'
test_dataloader = dict(
    dataset=dict(
        ann_file='annotations/refshapes_small/instances_sample_1.json',
        split='train',
        pipeline={{_base_.pseudo_pipeline}},
        skip_predicted=prefix + '.rank*.jsonl',
    )
)
test_evaluator = dict(_delete_=True, type='PseudoLabelDump', outfile_prefix=prefix)
