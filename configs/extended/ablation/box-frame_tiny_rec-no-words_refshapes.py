# Ablation (boxes only): objects are not asked for the words said of them.
_base_ = '../box-frame_tiny_rec_refshapes.py'
model = dict(word_loss=None)
