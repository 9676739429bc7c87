# The same network and recipe as LAVT's on RefCOCO, in a work directory of its own.
# Under this name the weights with the text encoder inside were published (ours always has it inside).
_base_ = './lavt_swin-b-w12_480_refcoco-unc.py'
