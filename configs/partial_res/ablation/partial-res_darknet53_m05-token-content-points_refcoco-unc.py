# Ablation (RefCOCO, 5 % of the masks): and with point modulation: all of Partial-RES.
# All four start from SeqTR's comprehension weights, as in the paper, which have none of the additions.
_base_ = '../partial-res_darknet53_m100_refcoco-unc.py'
model = dict(head=dict(language_token=True, task_prompt=True, co_content=True, point_modulation=True))
ann_file = 'annotations/refcoco-unc/instances_sample_5.json'
train_dataloader = dict(dataset=dict(ann_file=ann_file))
load_from = 'work_dirs/seqtr_darknet53_rec_refcoco-unc/best.pth'
