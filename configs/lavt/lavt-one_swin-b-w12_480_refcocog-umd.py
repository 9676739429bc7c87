# LAVT on RefCOCOg (UMD split), under the name that its weights with the text encoder inside were published by: the same network and
# recipe (ours always has the encoder inside), in a work directory of its own.
_base_ = './lavt_swin-b-w12_480_refcocog-umd.py'
