# DINOv3 ViT-B and ModernBERT: pseudo points for all training objects of RefCOCOg (UMD split),
# by what 5 % of the masks taught.
#   python tools/test.py THIS_FILE work_dirs/encoder-res_dinov3-b_m05_refcocog-umd/best.pth
#   python tools/choose_pseudo_data.py --ratio 5 --dataset refcocog-umd \
#       --predictions work_dirs/encoder-res_dinov3-b_m05-pseudo_refcocog-umd/pseudo
_base_ = './encoder-res_dinov3-b_m100_refcocog-umd.py'
load_from = 'work_dirs/encoder-res_dinov3-b_m05_refcocog-umd/best.pth'
prefix = 'work_dirs/encoder-res_dinov3-b_m05-pseudo_refcocog-umd/pseudo'
# The true boxes are known here: they are the sequence's, and its contour is confined to them.
model = dict(test_cfg=dict(confine_to_box=True))
test_dataloader = dict(
    dataset=dict(
        ann_file='annotations/refcocog-umd/instances_sample_5.json',
        split='train',
        skip_predicted=prefix + '.rank*.jsonl',  # a run that was stopped goes on
        pipeline=_base_.box_test_pipeline,
    )
)
test_evaluator = dict(_delete_=True, type='PseudoLabelDump', outfile_prefix=prefix)
