# Flickr30k Entities: boxes only, up to 20 words.
# Splits: train, val, test.
source = dict(
    ann_file='annotations/flickr30k/instances.json',
    data_prefix=dict(img_path='images/flickr30k'),
    img_template='{}.jpg',
)
codec = dict(type='ContourCodec', num_bins=1000, pad_divisor=32)
language = dict(
    vocabulary=dict(file='data/annotations/flickr30k/vocab.json'),
    vectors='npz:data/annotations/flickr30k/vocab.npz',
    max_tokens=20,
)
