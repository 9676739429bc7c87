"""Attention whose keys and values are projected apart."""

import torch
import torch.nn.functional as F

from mmrefseg.models.layers.attention import MultiHeadAttention, causal_bias


def test_weights_are_dropped_in_training_only():
    torch.manual_seed(0)
    attn = MultiHeadAttention(8, 2, dropout=0.5)
    x = torch.randn(3, 5, 8)
    with torch.no_grad():
        query, key, value = attn.project_query(x), attn.project_key(x), attn.project_value(x)
        for bias, causal in ((None, False), (causal_bias(query, key), True)):
            attended = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
            plain = attn.out_proj(attended.transpose(1, 2).flatten(2))
            torch.testing.assert_close(attn.eval().attend(query, key, value, bias), plain)
            attn.train()
            runs = torch.stack([attn.attend(query, key, value, bias) for _ in range(2000)])
            assert (runs[0] - runs[1]).abs().max() > 1e-3
            torch.testing.assert_close(runs.mean(0), plain, rtol=0, atol=0.05)


def test_places_see_none_behind_their_own():
    query, key = torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 5, 4)
    hidden = float('-inf')
    assert causal_bias(query, key).tolist() == [[0, 0, 0, 0, hidden], [0] * 5]
    assert causal_bias(query[:, :, :1], key) is None
