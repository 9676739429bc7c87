# Ablation (boxes only): no cell learns whether it is inside the box.
_base_ = '../box-frame_tiny_rec_refshapes.py'
model = dict(auxiliary_heads=[{{_base_.category_head}}, {{_base_.word_head}}])
