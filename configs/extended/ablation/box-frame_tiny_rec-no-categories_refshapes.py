# Ablation (boxes only): cells are not asked for their category.
_base_ = '../box-frame_tiny_rec_refshapes.py'
model = dict(auxiliary_heads=[{{_base_.word_head}}, {{_base_.fused_cell_head}}, {{_base_.encoded_cell_head}}])
