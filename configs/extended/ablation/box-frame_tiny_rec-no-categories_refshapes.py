# Ablation (boxes only): cells are not asked for their category.
_base_ = '../box-frame_tiny_rec_refshapes.py'
model = dict(category_loss=None)
