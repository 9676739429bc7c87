# Stage 3a: pseudo masks for all training objects of RefCOCO+ without one, by what 0 % of the masks taught:
#   python tools/test.py THIS_FILE work_dirs/box-refiner_darknet53_m00_refcocoplus-unc/best.pth
_base_ = './box-refiner_darknet53_m100_refcocoplus-unc.py'
load_from = 'work_dirs/box-refiner_darknet53_m00_refcocoplus-unc/best.pth'
prefix = 'work_dirs/box-refiner_darknet53_m00-pseudo_refcocoplus-unc/pseudo'
# The true boxes are known here: masks are drawn in them.
model = dict(test_cfg=dict(confine_to_box=True))
test_dataloader = dict(
    dataset=dict(
        ann_file='annotations/refcocoplus-unc/instances_sample_0.json',
        split='train',
        skip_predicted=prefix + '.rank*.jsonl',  # a run that was stopped goes on
        pipeline=_base_.box_test_pipeline,
    )
)
test_evaluator = dict(_delete_=True, type='PseudoLabelDump', outfile_prefix=prefix)
