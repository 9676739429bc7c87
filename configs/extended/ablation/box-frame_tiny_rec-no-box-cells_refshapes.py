# Ablation (boxes only): no cell learns whether it is inside the box.
_base_ = '../box-frame_tiny_rec_refshapes.py'
model = dict(head=dict(cell_loss=None), fused_cell_loss=None)
