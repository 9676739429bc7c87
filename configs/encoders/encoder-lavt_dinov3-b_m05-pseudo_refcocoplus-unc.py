# LAVT on DINOv3 ViT-B and ModernBERT, as a pseudo-labeller:
# masks for all training objects of RefCOCO+, by what 5 % of the masks taught it.
#   python tools/test.py THIS_FILE work_dirs/encoder-lavt_dinov3-b_m05_refcocoplus-unc/best.pth
#   python tools/choose_pseudo_data.py --ratio 5 --dataset refcocoplus-unc \
#       --predictions work_dirs/encoder-lavt_dinov3-b_m05-pseudo_refcocoplus-unc/pseudo
_base_ = './encoder-lavt_dinov3-b_m100_refcocoplus-unc.py'
load_from = 'work_dirs/encoder-lavt_dinov3-b_m05_refcocoplus-unc/best.pth'
prefix = 'work_dirs/encoder-lavt_dinov3-b_m05-pseudo_refcocoplus-unc/pseudo'
# The true boxes are known here: masks are cut at them.
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
