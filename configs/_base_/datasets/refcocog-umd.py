# RefCOCOg (UMD split): up to 20 words; 12 points a contour, a fifth of the sequences shuffled.
# Splits: train, val, test.
source = dict(
    ann_file='annotations/refcocog-umd/instances.json',
    data_prefix=dict(img_path='images/mscoco/train2014'),
)
codec = dict(type='ContourCodec', num_points=12, num_bins=1000, sampling='uniform', pad_divisor=32)
encode = dict(type='EncodeContour', codec=codec, shuffle_prob=0.2)
language = dict(
    vocabulary=dict(file='data/annotations/refcocog-umd/vocab.json'),
    vectors='npz:data/annotations/refcocog-umd/vocab.npz',
    max_tokens=20,
)
