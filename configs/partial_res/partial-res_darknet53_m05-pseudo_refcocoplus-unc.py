# Stage 3a: pseudo points for all training objects of RefCOCO+, by the model of stage 2 (5 % of the masks):
#   python tools/test.py THIS_FILE work_dirs/partial-res_darknet53_m05_refcocoplus-unc/best.pth
_base_ = './partial-res_darknet53_m100_refcocoplus-unc.py'
load_from = 'work_dirs/partial-res_darknet53_m05_refcocoplus-unc/best.pth'
prefix = 'work_dirs/partial-res_darknet53_m05-pseudo_refcocoplus-unc/pseudo'
# The true boxes are known here: decoding is confined to them.
model = dict(test_cfg=dict(confine_to_box=True))
test_dataloader = dict(
    dataset=dict(
        ann_file='annotations/refcocoplus-unc/instances_sample_5.json',
        split='train',
        skip_predicted=prefix + '.rank*.jsonl',  # a run that was stopped goes on
        pipeline=_base_.box_test_pipeline,
    )
)
test_evaluator = dict(_delete_=True, type='PseudoLabelDump', outfile_prefix=prefix)
