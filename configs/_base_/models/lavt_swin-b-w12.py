# LAVT: Swin-B with windows of 12, pretrained on ImageNet-22k, and BERT-base, all of it trained. What the released code
# does differently is in configs/lavt/lavt_swin-b-w12_480_released_refcoco-unc.py.
model = dict(
    type='LAVT',
    data_preprocessor=dict(
        type='DetDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type='LanguageSwin',
        embed_dims=128,
        depths=(2, 2, 18, 2),
        num_heads=(4, 8, 16, 32),
        window_size=12,
        language_channels=768,
        drop_path_rate=0.3,
        # what tools/model_converters/swin.py writes
        init_cfg=dict(type='Pretrained', checkpoint='data/weights/swin-b-w12_22k.pth'),
    ),
    language_model=dict(
        type='BertEncoder',
        path='data/weights/bert-base-uncased',  # vocab.txt, config.json and model.safetensors; nothing is downloaded
        max_tokens=20,
    ),
    decode_head=dict(
        type='LAVTHead',
        in_channels=(128, 256, 512, 1024),
        channels=512,
        loss=dict(type='PixelCrossEntropyLoss'),
    ),
    # tools/test.py --options protocol=cat or avg, frame=network changes these two as well.
    test_cfg=dict(sentences='each', frame='original', chunk_size=8),
)
