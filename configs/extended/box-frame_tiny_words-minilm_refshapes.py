# The same with the words of a pretrained sentence encoder, frozen, in place of a vocabulary's (`make test-weights` fetches it).
_base_ = './box-frame_tiny_words_refshapes.py'
model = dict(
    language_model=dict(
        _delete_=True,
        type='HFTextEncoder',
        model='data/test_weights/all-minilm-l6-v2',
        # the first layers know words, the last ones what a whole sentence is about
        config=dict(num_hidden_layers=3),
        output='sentence',
        pooling='gru',
        frozen=True,
        out_channels=256,
        noise=0.5,
        batch_norm=True,
    )
)
custom_hooks = [
    dict(
        type='TrainOnlyHook',
        modules=[
            'language_model.spread',
            'language_model.project',
            'language_model.gru',
            'language_model.norm',
            'head',
        ],
    ),
    dict(type='FeatureCacheHook'),
    dict(type='FeatureCacheHook', module='neck'),
]
