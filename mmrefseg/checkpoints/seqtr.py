"""The names of SeqTR's and Partial-RES's parameters in our model."""

from .key_map import KeyMap

SEQTR_KEYS = KeyMap(
    [
        (r'vis_enc\.darknet\.(\d+)\.module_list\.(\d+)\.(\d)\.(.*)', r'backbone.layers.\1.blocks.\2.\3.\4'),
        (r'vis_enc\.darknet\.(\d+)\.(.*)', r'backbone.layers.\1.\2'),
        (r'lan_enc\.embedding\.(.*)', r'language_model.embedding.\1'),
        (r'lan_enc\.lstm\.(.*)', r'language_model.gru.\1'),
        (r'fusion\.down_bot2mid\.(.*)', r'neck.fine_to_middle.\1'),
        (r'fusion\.down_mid2top\.(.*)', r'neck.middle_to_coarse.\1'),
        (r'fusion\.top_project\.(.*)', r'neck.project.\1'),
        (r'head\.transformer\.(encoder|decoder)\.layers\.(\d+)\.(linear\d\..*)', r'head.\1.layers.\2.ffn.\3'),
        (
            r'head\.transformer\.decoder\.layers\.(\d+)\.multihead_attn\.(.*)',
            r'head.decoder.layers.\1.cross_attn.\2',
        ),
        (
            r'head\.transformer\.decoder\.layers\.(\d+)\.point\.(.*)',
            r'head.decoder.layers.\1.point_modulation.point.\2',
        ),
        (r'head\.transformer\.(encoder|decoder)\.(.*)', r'head.\1.\2'),
        (r'head\.transformer\.seq_positional_encoding\.embedding\.(.*)', r'head.decoder.position.\1'),
        (r'head\.transformer\.query_embedding\.(.*)', r'head.token_embedding.\1'),
        (r'head\.transformer\.(task_prompt|input_proj)\.(.*)', r'head.\1.\2'),
        (r'head\.task_embedding\.(.*)', r'head.task_embedding.\1'),
        (r'head\.predictor\.0\.fc\.(.*)', r'head.predictor.0.\1'),
        (r'head\.predictor\.1\.fc\.(.*)', r'head.predictor.2.\1'),
        (r'head\.predictor\.2\.fc\.(.*)', r'head.predictor.4.\1'),
    ]
)
