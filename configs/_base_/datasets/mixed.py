# The mixed pre-training set of mix_datasets.py: boxes only, up to 40 words.
# Splits: train, and those of each set: val_refcoco_unc, testA_refcoco_unc, val_flickr30k...
source = dict(
    ann_file='annotations/mixed/instances.json',
    data_prefix=dict(
        img_path=dict(
            coco='images/mscoco/train2014',
            flickr='images/flickr30k',
            saiaprtc12='images/saiaprtc12',
            vg='images/visual-genome',
        )
    ),
)
codec = dict(type='ContourCodec', num_bins=1000, pad_divisor=32)
language = dict(
    vocabulary=dict(file='data/annotations/mixed/vocab.json'),
    vectors='npz:data/annotations/mixed/vocab.npz',
    max_tokens=40,
)
