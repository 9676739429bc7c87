# ReferIt (Berkeley split): boxes only, up to 20 words.
# Splits: train, val, test.
source = dict(
    ann_file='annotations/referit/instances.json',
    data_prefix=dict(img_path='images/saiaprtc12'),
    img_template='{}.jpg',
)
codec = dict(type='ContourCodec', num_bins=1000, pad_divisor=32)
language = dict(
    vocabulary=dict(file='data/annotations/referit/vocab.json'),
    vectors='npz:data/annotations/referit/vocab.npz',
    max_tokens=20,
)
