# SigLIP 2 B/16, both of its towers: pseudo points for all training objects of RefCOCO+,
# by what 1 % of the masks taught.
#   python tools/test.py THIS_FILE work_dirs/encoder-res_siglip2-b_m01_refcocoplus-unc/best.pth
#   python tools/choose_pseudo_data.py --ratio 1 --dataset refcocoplus-unc \
#       --predictions work_dirs/encoder-res_siglip2-b_m01-pseudo_refcocoplus-unc/pseudo
_base_ = './encoder-res_siglip2-b_m100_refcocoplus-unc.py'
load_from = 'work_dirs/encoder-res_siglip2-b_m01_refcocoplus-unc/best.pth'
prefix = 'work_dirs/encoder-res_siglip2-b_m01-pseudo_refcocoplus-unc/pseudo'
# The true boxes are known here: they are the sequence's, and its contour is confined to them.
model = dict(test_cfg=dict(confine_to_box=True))
test_dataloader = dict(
    dataset=dict(
        ann_file='annotations/refcocoplus-unc/instances_sample_1.json',
        split='train',
        skip_predicted=prefix + '.rank*.jsonl',  # a run that was stopped goes on
        pipeline=_base_.box_test_pipeline,
    )
)
test_evaluator = dict(_delete_=True, type='PseudoLabelDump', outfile_prefix=prefix)
