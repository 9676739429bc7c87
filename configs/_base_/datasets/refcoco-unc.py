# RefCOCO (UNC split): up to 15 words; 18 points a contour, in order.
# Splits: train, val, testA, testB.
source = dict(
    ann_file='annotations/refcoco-unc/instances.json',
    data_prefix=dict(img_path='images/mscoco/train2014'),
)
codec = dict(type='ContourCodec', num_points=18, num_bins=1000, sampling='uniform', pad_divisor=32)
encode = dict(type='EncodeContour', codec=codec)
language = dict(
    vocabulary=dict(file='data/annotations/refcoco-unc/vocab.json'),
    vectors='npz:data/annotations/refcoco-unc/vocab.npz',
    max_tokens=15,
)
