# LAVT-pytorch, the reproduction: Swin-B with windows of 7 whose maps meet the words after patch merging, a gate with
# its arguments swapped, a heavy decoder, and BERT-base.
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
        window_size=7,
        language_channels=768,
        gate=dict(type='lavt_pytorch'),
        fuse_after_merging=True,
        # its Swin is the classification model: a single window is not shifted
        shift_single_window=False,
        drop_path_rate=0.1,
        # what tools/model_converters/swin.py writes
        init_cfg=dict(type='Pretrained', checkpoint='data/weights/swin-b-w7_22k.pth'),
    ),
    language_model=dict(
        type='BertEncoder',
        path='data/weights/bert-base-uncased',  # vocab.txt, config.json and model.safetensors; nothing is downloaded
        max_tokens=30,
    ),
    decode_head=dict(type='LAVTPytorchHead', in_channels=(256, 512, 1024, 1024)),
    # tools/test.py --options protocol=cat or avg, frame=network changes these two as well.
    test_cfg=dict(sentences='each', frame='original', chunk_size=8),
)
