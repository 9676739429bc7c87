# Partial-RES (Qu et al., CVPR 2023): SeqTR with four additions. 104.6 M parameters, 53.3 M trained.
# Needs data/weights/darknet53.pth (docs/weights.md says how to make it); without: model.backbone.init_cfg=None.
model = dict(
    type='SeqTR',
    # Images are RGB in 0..255, without mean and std; padded as the codec counts on (pad_divisor).
    data_preprocessor=dict(
        type='DetDataPreprocessor', mean=None, std=None, bgr_to_rgb=True, pad_size_divisor=32
    ),
    backbone=dict(
        type='DarkNet53',
        out_indices=(6, 8, 13),  # strides 8, 16, 32
        frozen_layers=12,
        norm_eval=True,  # the originals' frozen layers drift: False
        init_cfg=dict(type='Pretrained', checkpoint='data/weights/darknet53.pth'),
    ),
    # Vocabulary, word vectors and max_tokens: the data set's, see the config that joins the two.
    # The originals' backward GRU reads the padding first: legacy_padding=True for published weights.
    language_model=dict(type='GRUEncoder', hidden_dims=512, freeze_embedding=True),
    neck=dict(type='MultiscaleFusion', in_channels=(256, 512, 1024), out_channels=1024),
    head=dict(
        type='SeqTRHead',
        # codec: the data set's
        in_channels=1024,
        embed_dims=256,
        num_heads=8,
        feedforward_channels=1024,
        num_encoder_layers=6,
        num_decoder_layers=3,
        dropout=0.1,
        with_box=False,
        with_mask=True,
        language_token=True,
        task_prompt=True,
        co_content=True,
        point_modulation=True,
        legacy=False,  # True: conventions that published weights were trained with
        loss=dict(type='SequenceLabelSmoothingLoss', smoothing=0.1),
    ),
)
