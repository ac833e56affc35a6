"""Parts of SAM 2, with numbers that a reader can check by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from sam2 import PRESETS, build_sam2
from sam2.modeling import fused
from sam2.modeling.attention import Attention, ImageToTokenAttention, TokenToImageAttention
from sam2.modeling.hiera import bicubic, block_shapes, join_windows, split_windows
from sam2.modeling.prompt_encoder import PositionEncoding, PromptEncoder
from sam2.modeling.prompted_image import Base, PromptedImage, levels
from sam2.modeling.upscaling import Upscaling


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
    assert [shape.heads for shape in shapes] == [1, 2, 2, 4, 4, 4, 8]


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
    encoding = PositionEncoding(channels=4)
    encoding.positional_encoding_gaussian_matrix = torch.tensor([[0.25, 0.0], [0.0, 0.5]])
    # (1, 0.75) in [0, 1] is (1, 0.5) in [-1, 1]: phases 2 pi (1 x 0.25) and 2 pi (0.5 x 0.5).
    values = encoding(torch.tensor([1.0, 0.75]))
    assert values.tolist() == pytest.approx([1.0, 1.0, 0.0, 0.0], abs=1e-6)


def test_prompt_encoder__adds_half_a_pixel_to_points_and_boxes():
    torch.manual_seed(0)
    encoder = PromptEncoder(channels=8, image_size=64)
    at_centre = encoder.grid(32, 32)[
        10 * 32 + 20
    ]  # a cell of 2 pixels: x = 20.5 / 32, y = 10.5 / 32
    click, padding = encoder.points(torch.tensor([[40.5, 20.5]]))[0]
    expected = at_centre + encoder.point_embeddings[1].weight[0]
    torch.testing.assert_close(click, expected)
    torch.testing.assert_close(padding, encoder.not_a_point_embed.weight[0])

    first, last = encoder.boxes(torch.tensor([[40.5, 20.5, 40.5, 20.5]]))[0]
    torch.testing.assert_close(first, at_centre + encoder.point_embeddings[2].weight[0])
    torch.testing.assert_close(last, at_centre + encoder.point_embeddings[3].weight[0])


def test_prompt_encoder__half_precision_keeps_locations_apart():
    encoder = PromptEncoder(channels=64, image_size=1024).bfloat16()
    near, far = encoder.points(torch.tensor([[1000.0, 1000.0], [1001.0, 1001.0]]))[:, 0]
    matrix = encoder.pe_layer.positional_encoding_gaussian_matrix.float()
    phases = 2 * math.pi * (2 * (1001.5 / 1024) - 1) * (matrix[0] + matrix[1])
    exact = torch.cat([phases.sin(), phases.cos()])
    given = (far - encoder.point_embeddings[1].weight[0]).float()
    assert (given - exact).abs().max() < 0.05
    assert not torch.equal(near, far)


HEADS, TOKENS = 2, 4


def learning(prompts: int, positions: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights that sum to 1 within a head, (H * T, B, P), and codes ending in 1, (B, H, T, G)."""
    weights = torch.rand(HEADS, TOKENS, prompts, positions).softmax(1).flatten(0, 1)
    codes = torch.randn(prompts, HEADS, TOKENS, width)
    return weights, torch.cat([codes[..., :-1], torch.ones_like(codes[..., :1])], dim=-1)


def prompted_image(positions: int, channels: int) -> tuple[PromptedImage, Base]:
    """Three prompts; codes of width 5; one layer learnt."""
    torch.manual_seed(1)
    dictionary, norm = torch.randn(HEADS, 5, channels), torch.nn.LayerNorm(channels)
    torch.nn.init.normal_(norm.bias)
    (level,), base = levels(torch.randn(positions, channels), [dictionary], [norm])
    return PromptedImage.begin(level, *learning(3, positions, 5), norm), base


def tokens_of(image: PromptedImage, base: Base) -> torch.Tensor:
    """All tokens, written out, (B, P, C)."""
    unscaled = base.tokens + image.weights.permute(1, 2, 0) @ image.values
    return image.scale[..., None] * unscaled + base.offset


def test_prompted_image__two_layers_equal_those_on_tokens_written_out():
    torch.manual_seed(0)
    norms = [torch.nn.LayerNorm(32), torch.nn.LayerNorm(32)]
    for norm in norms:
        torch.nn.init.normal_(norm.weight, mean=1, std=0.3)
        torch.nn.init.normal_(norm.bias)
    base, dictionaries = torch.randn(20, 32) + 1, torch.randn(2, HEADS, 5, 32)
    (before, between), after = levels(base, dictionaries, norms)
    products = [learning(3, 20, 5) for _ in norms]
    learnt = [
        weights.permute(1, 2, 0) @ (codes @ dictionary).flatten(1, 2)
        for (weights, codes), dictionary in zip(products, dictionaries, strict=True)
    ]

    image = PromptedImage.begin(before, *products[0], norms[0])
    expected = norms[0](base + learnt[0])
    torch.testing.assert_close(tokens_of(image, between), expected, rtol=1e-5, atol=1e-5)
    image = image.learn(between, *products[1], norms[1])
    expected = norms[1](expected + learnt[1])
    torch.testing.assert_close(tokens_of(image, after), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(tokens_of(image[torch.tensor([2])], after), expected[[2]])


def test_attentions__equal_those_with_all_image_tokens_as_keys_and_queries():
    (image, base), positions = prompted_image(positions=20, channels=32), torch.randn(20, 32)
    tokens, located = torch.randn(3, 6, 32), torch.randn(3, 6, 32)
    written = tokens_of(image, base)

    to_image = TokenToImageAttention(32, 16, heads=4)
    parts = [image[torch.tensor([0, 1])], image[torch.tensor([2])]]
    learnt = to_image(located, parts, *to_image.share(base, positions))
    expected = attend(to_image, located, written + positions, written)
    torch.testing.assert_close(learnt, expected, rtol=1e-5, atol=1e-5)

    to_tokens = ImageToTokenAttention(32, 16, heads=4)
    shared = to_tokens.share(base, positions)
    keys, codes = to_tokens(located, tokens)
    weights = to_tokens.weigh(shared.dot(keys, image))
    learnt = weights.permute(1, 2, 0) @ (codes @ to_tokens.dictionary).flatten(1, 2)
    expected = attend(to_tokens, written + positions, located, tokens)
    torch.testing.assert_close(learnt, expected, rtol=1e-5, atol=1e-5)


def attend(
    layer: Attention, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    """Attention as it is written in papers."""
    out = F.scaled_dot_product_attention(
        layer.split(layer.q_proj(queries)),
        layer.split(layer.k_proj(keys)),
        layer.split(layer.v_proj(values)),
    )
    return layer.out_proj(out.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("training", [True, False], ids=["operations", "fused"])
def test_upscaling__equals_transposed_convolutions(training: bool):
    torch.manual_seed(0)
    upscaling = Upscaling(channels=32)
    first, norm, _, second = upscaling
    prompted, base = prompted_image(positions=20, channels=32)
    image = tokens_of(prompted, base).transpose(1, 2).unflatten(2, (5, 4))
    high_res_0, high_res_1 = torch.randn(4, 20, 16), torch.randn(8, 10, 8)
    prompts, kernels = torch.tensor([2, 0]), torch.randn(2, 2, 4)

    x = F.conv_transpose2d(image, first.weight, first.bias, stride=2) + high_res_1
    x = F.gelu(norm(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)
    x = F.gelu(F.conv_transpose2d(x, second.weight, second.bias, stride=2) + high_res_0)
    expected = torch.einsum("bmc,bchw->bmhw", kernels, x[prompts])

    skips = upscaling.lay_out(base, high_res_0, high_res_1)
    with torch.set_grad_enabled(training):
        assert fused.serves(kernels) != training
        masks = upscaling.draw(prompted, prompts, kernels, skips)
    torch.testing.assert_close(masks, expected, rtol=1e-5, atol=1e-5)
