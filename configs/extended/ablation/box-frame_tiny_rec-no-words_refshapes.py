# Ablation (boxes only): objects are not asked for the words said of them.
_base_ = '../box-frame_tiny_rec_refshapes.py'
model = dict(
    auxiliary_heads=[{{_base_.category_head}}, {{_base_.fused_cell_head}}, {{_base_.encoded_cell_head}}]
)
