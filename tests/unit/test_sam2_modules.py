"""Parts of SAM 2, with numbers that a reader can check by hand."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from sam2 import PRESETS, build_sam2
from sam2.fast.attention import (
    attend_to_image,
    attention_weights,
    keys_and_values,
    out_proj_by_head,
    precompute_keys,
    precompute_queries,
    precompute_values,
)
from sam2.fast.low_rank import LowRankTokens, SharedTokens, precompute_layer_inputs
from sam2.fast.upscaling import FastUpscaling
from sam2.modeling.hiera import bicubic, block_shapes, join_windows, split_windows
from sam2.modeling.mask_decoder import OutputUpscaling
from sam2.modeling.prompt_encoder import PositionEmbeddingRandom, PromptEncoder
from sam2.modeling.transformer import Attention


def test_split_windows__pads_with_zeros_and_goes_row_by_row():
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])[None, :, :, None]  # (1, 2, 3, 1)
    windows = split_windows(x, side=2)
    assert windows[..., 0].tolist() == [[[1, 2], [4, 5]], [[3, 0], [6, 0]]]


def test_join_windows__undoes_split_windows():
    x = torch.arange(2 * 5 * 7 * 3.0).reshape(2, 5, 7, 3)
    assert torch.equal(join_windows(split_windows(x, side=4), height=5, width=7), x)


def test_block_shapes__a_stage_begins_by_pooling_in_the_windows_of_the_stage_before():
    shapes = list(block_shapes(32, 1, (1, 2, 3, 1), (4, 5), (8, 4, 8, 4)))
    assert [shape.window for shape in shapes] == [8, 8, 4, 4, 0, 0, 8]
    assert [shape.pool for shape in shapes] == [False, True, False, True, False, False, True]
    assert [shape.channels for shape in shapes] == [32, 32, 64, 64, 128, 128, 128]
    assert [shape.channels_out for shape in shapes] == [32, 64, 64, 128, 128, 128, 256]
    assert [shape.num_heads for shape in shapes] == [1, 2, 2, 4, 4, 4, 8]


def test_bicubic__along_both_axes_is_interpolation():
    torch.manual_seed(0)
    image = torch.randn(2, 3, 7, 5)
    down, right = bicubic(7, 64, image.device), bicubic(5, 40, image.device)
    expected = F.interpolate(image, size=(64, 40), mode="bicubic")
    torch.testing.assert_close(down @ image @ right.T, expected, rtol=1e-5, atol=1e-6)


def test_demo_preset__is_small():
    count = sum(tensor.numel() for tensor in build_sam2("sam2_hiera_demo").state_dict().values())
    assert 1.7e6 < count < 2.3e6
    assert PRESETS["sam2_hiera_demo"].image_size == 256


def test_position_encoding__is_sine_and_cosine_of_projected_coordinates():
    encoding = PositionEmbeddingRandom(embed_dim=4)
    encoding.positional_encoding_gaussian_matrix = torch.tensor([[0.25, 0.0], [0.0, 0.5]])
    # (1, 0.75) in [0, 1] is (1, 0.5) in [-1, 1]: phases 2 pi (1 x 0.25) and 2 pi (0.5 x 0.5).
    values = encoding(torch.tensor([1.0, 0.75]))
    assert values.tolist() == pytest.approx([1.0, 1.0, 0.0, 0.0], abs=1e-6)


def test_prompt_encoder__adds_half_a_pixel_to_points_and_boxes():
    torch.manual_seed(0)
    encoder = PromptEncoder(embed_dim=8, image_size=64)
    # A cell of 2 pixels: x = 20.5 / 32, y = 10.5 / 32.
    at_centre = encoder.get_dense_pe(32, 32)[0, :, 10, 20]
    click, padding = encoder.points(torch.tensor([[40.5, 20.5]]))[0]
    expected = at_centre + encoder.point_embeddings[1].weight[0]
    torch.testing.assert_close(click, expected)
    torch.testing.assert_close(padding, encoder.not_a_point_embed.weight[0])

    first, last = encoder.boxes(torch.tensor([[40.5, 20.5, 40.5, 20.5]]))[0]
    torch.testing.assert_close(first, at_centre + encoder.point_embeddings[2].weight[0])
    torch.testing.assert_close(last, at_centre + encoder.point_embeddings[3].weight[0])


def test_prompt_encoder__half_precision_keeps_locations_apart():
    encoder = PromptEncoder(embed_dim=64, image_size=1024).bfloat16()
    near, far = encoder.points(torch.tensor([[1000.0, 1000.0], [1001.0, 1001.0]]))[:, 0]
    matrix = encoder.pe_layer.positional_encoding_gaussian_matrix.float()
    phases = 2 * math.pi * (2 * (1001.5 / 1024) - 1) * (matrix[0] + matrix[1])
    exact = torch.cat([phases.sin(), phases.cos()])
    given = (far - encoder.point_embeddings[1].weight[0]).float()
    assert (given - exact).abs().max() < 0.05
    assert not torch.equal(near, far)


def test_attention__one_head_by_hand():
    """Queries 0 and log 3 on keys 0 and 1: weights (1/2, 1/2) and (1/4, 3/4) of values 0 and 8."""
    attention = Attention(embedding_dim=1, num_heads=1)
    for projection in (attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj):
        torch.nn.init.ones_(projection.weight)
        torch.nn.init.zeros_(projection.bias)
    q = torch.tensor([[[0.0], [math.log(3)]], [[math.log(3)], [0.0]]])  # two prompts, one image
    out = attention(q, torch.tensor([[[0.0], [1.0]]]), torch.tensor([[[0.0], [8.0]]]))
    torch.testing.assert_close(out, torch.tensor([[[4.0], [6.0]], [[6.0], [4.0]]]))


HEADS, TOKENS = 2, 4


def attended(prompts: int, positions: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights that sum to 1 within a head, (H * T, B, P), and values ending in 1, (B, H, T, D)."""
    weights = torch.rand(HEADS, TOKENS, prompts, positions).softmax(1).flatten(0, 1)
    values = torch.randn(prompts, HEADS, TOKENS, width)
    return weights, torch.cat([values[..., :-1], torch.ones_like(values[..., :1])], dim=-1)


def low_rank_tokens(positions: int, channels: int) -> tuple[LowRankTokens, SharedTokens]:
    """Three prompts after one layer, with values of width 5."""
    torch.manual_seed(1)
    out_proj, norm = torch.randn(HEADS, 5, channels), torch.nn.LayerNorm(channels)
    torch.nn.init.normal_(norm.bias)
    tokens = torch.randn(positions, channels)
    (before,), after = precompute_layer_inputs(tokens, [out_proj], [norm])
    return LowRankTokens.first_layer(before, *attended(3, positions, 5), norm), after


def written_out(image: LowRankTokens, shared: SharedTokens) -> torch.Tensor:
    """All tokens, (B, P, C)."""
    unscaled = shared.tokens + image.weights.permute(1, 2, 0) @ image.updates
    return image.scale[..., None] * unscaled + shared.offset


@torch.no_grad()
def test_low_rank_tokens__two_layers_equal_those_on_tokens_written_out():
    torch.manual_seed(0)
    norms = [torch.nn.LayerNorm(32), torch.nn.LayerNorm(32)]
    for norm in norms:
        torch.nn.init.normal_(norm.weight, mean=1, std=0.3)
        torch.nn.init.normal_(norm.bias)
    tokens, out_projs = torch.randn(20, 32) + 1, torch.randn(2, HEADS, 5, 32)
    (before, between), after = precompute_layer_inputs(tokens, list(out_projs), norms)
    products = [attended(3, 20, 5) for _ in norms]
    learnt = [
        weights.permute(1, 2, 0) @ (values @ out_proj).flatten(1, 2)
        for (weights, values), out_proj in zip(products, out_projs, strict=True)
    ]

    image = LowRankTokens.first_layer(before, *products[0], norms[0])
    expected = norms[0](tokens + learnt[0])
    torch.testing.assert_close(written_out(image, between), expected, rtol=1e-5, atol=1e-5)
    image = image.update(between, *products[1], norms[1])
    expected = norms[1](expected + learnt[1])
    torch.testing.assert_close(written_out(image, after), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(written_out(image[torch.tensor([2])], after), expected[[2]])


@torch.no_grad()
def test_attentions__equal_those_with_all_image_tokens_as_keys_and_queries():
    (image, shared), pe = low_rank_tokens(positions=20, channels=32), torch.randn(20, 32)
    tokens, located = torch.randn(3, 6, 32), torch.randn(3, 6, 32)
    written = written_out(image, shared)

    to_image = Attention(32, num_heads=4, downsample_rate=2)
    parts = [image[torch.tensor([0, 1])], image[torch.tensor([2])]]
    keys, values = precompute_keys(to_image, shared, pe), precompute_values(to_image, shared)
    learnt = attend_to_image(to_image, located, parts, keys, values)
    expected = to_image(located, written + pe, written)
    torch.testing.assert_close(learnt, expected, rtol=1e-5, atol=1e-5)

    to_tokens = Attention(32, num_heads=4, downsample_rate=2)
    queries = precompute_queries(to_tokens, shared, pe)
    keys, values = keys_and_values(to_tokens, located, tokens)
    weights = attention_weights(to_tokens, queries.dot(keys, image))
    learnt = weights.permute(1, 2, 0) @ (values @ out_proj_by_head(to_tokens)).flatten(1, 2)
    expected = to_tokens(written + pe, located, tokens)
    torch.testing.assert_close(learnt, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("compiled", [True, False])
@torch.no_grad()
def test_upscaling__equals_transposed_convolutions(compiled: bool):
    torch.manual_seed(0)
    plain = OutputUpscaling(32)
    first, norm, _, second, _ = plain
    tokens, shared = low_rank_tokens(positions=20, channels=32)
    image = written_out(tokens, shared).transpose(1, 2).unflatten(2, (5, 4))
    feat_s0, feat_s1 = torch.randn(4, 20, 16), torch.randn(8, 10, 8)
    prompts, hyper_in = torch.tensor([2, 0]), torch.randn(2, 2, 4)

    x = F.conv_transpose2d(image, first.weight, first.bias, stride=2) + feat_s1
    x = F.layer_norm(x.permute(0, 2, 3, 1), (8,), norm.weight, norm.bias, norm.eps)
    x = F.gelu(x).permute(0, 3, 1, 2)
    x = F.gelu(F.conv_transpose2d(x, second.weight, second.bias, stride=2) + feat_s0)
    torch.testing.assert_close(plain(image, feat_s0[None], feat_s1[None]), x)
    expected = torch.einsum("bmc,bchw->bmhw", hyper_in, x[prompts])

    fast = FastUpscaling(plain)
    precomputed = fast.precompute(shared, feat_s0, feat_s1)
    assert precomputed.kernels is not None
    if not compiled:
        precomputed = dataclasses.replace(precomputed, kernels=None)
    masks = fast.draw(tokens, prompts, hyper_in, precomputed)
    torch.testing.assert_close(masks, expected, rtol=1e-5, atol=1e-5)
