"""What the DINOv2 network promises, on networks small enough to follow."""

import pytest
import torch
from torch.nn import functional as F

from dinov2 import PRESETS, Preset, VisionTransformer, build_dinov2
from dinov2.layers import LayerScale, Mlp, SwiGlu, resize_positions


def test_demo_preset__has_18_by_18_positions_and_about_2_million_parameters():
    model = build_dinov2("dinov2_demo")
    assert (model.embed_dim, model.patch_size) == (192, 14)
    assert model.pos_embed.shape == (1, 1 + 18 * 18, 192)
    assert 1.9e6 < sum(weight.numel() for weight in model.parameters()) < 2.1e6
    assert model(torch.zeros(2, 3, 252, 252)).shape == (2, 324, 192)


def test_presets__name_the_official_downloads():
    site = "https://dl.fbaipublicfiles.com/dinov2/"
    large, giant = PRESETS["dinov2_large"], PRESETS["dinov2_giant_reg4"]
    assert large.url == site + "dinov2_vitl14/dinov2_vitl14_pretrain.pth"
    assert giant.url == site + "dinov2_vitg14/dinov2_vitg14_reg4_pretrain.pth"
    assert PRESETS["dinov2_demo"].url is None


@pytest.mark.parametrize("registers", [0, 4])
def test_forward__puts_the_patch_of_row_1_column_2_at_1_times_columns_plus_2(registers):
    model = VisionTransformer(Preset(8, 0, 1, registers=registers, patch_size=4, trained_size=12))
    images = torch.zeros(2, 3, 8, 20)  # 2 rows, 5 columns of patches
    images[1, :, 4:8, 8:12] = 1
    first, second = model(images)  # no block mixes them
    assert (first != second).any(dim=1).nonzero().flatten().tolist() == [1 * 5 + 2]


def test_forward__reads_nothing_wired_to_518_or_14():
    model = VisionTransformer(Preset(12, 2, 2, "swiglu", 3, patch_size=8, trained_size=40))
    assert model(torch.zeros(1, 3, 48, 16)).shape == (1, 12, 12)


@pytest.mark.parametrize("registers", [0, 4])
def test_forward__in_bfloat16_gives_bfloat16_at_other_sizes(registers):
    preset = Preset(8, 1, 2, registers=registers, trained_size=42)
    model = VisionTransformer(preset).bfloat16()
    features = model(torch.zeros(1, 3, 28, 56, dtype=torch.bfloat16))
    assert features.dtype == torch.bfloat16
    assert features.isfinite().all()


@pytest.mark.parametrize("size", [(518, 512), (7, 14), (0, 14)])
def test_forward__refuses_sides_that_do_not_divide_into_patches(size):
    model = VisionTransformer(Preset(8, 1, 2))
    with pytest.raises(ValueError, match=rf"{size[0]} x {size[1]}.*multiples of 14"):
        model(torch.zeros(1, 3, *size))


def test_resize_positions__leaves_the_trained_grid_untouched():
    positions = torch.randn(1, 9, 5)
    assert resize_positions(positions, (3, 3), antialias=False) is positions
    assert resize_positions(positions, (3, 3), antialias=True) is positions


@pytest.mark.parametrize("antialias", [False, True])
def test_resize_positions__keeps_what_does_not_change_over_the_grid(antialias):
    positions = torch.tensor([1.0, -2.0]).expand(1, 16, 2)
    resized = resize_positions(positions, (3, 7), antialias)
    torch.testing.assert_close(resized, torch.tensor([1.0, -2.0]).expand(1, 21, 2))


def test_layer_scale__adds_scaled_channels():
    scale = LayerScale(2)
    scale.gamma.data = torch.tensor([2.0, 10.0])
    tokens, learnt = torch.tensor([[[100.0, 200.0]]]), torch.tensor([[[1.0, 3.0]]])
    assert scale(tokens, learnt).tolist() == [[[102.0, 230.0]]]


def test_mlp__is_four_times_as_wide_inside():
    assert Mlp(6).fc1.weight.shape == (24, 6)


@pytest.mark.parametrize(("width", "hidden"), [(1536, 4096), (6, 16), (3, 8)])
def test_swiglu__is_two_thirds_as_wide_rounded_up_to_8(width, hidden):
    with torch.device("meta"):
        layer = SwiGlu(width)
    assert layer.w12.weight.shape == (2 * hidden, width)
    assert layer.w3.weight.shape == (width, hidden)


def test_swiglu__gates_with_the_first_half():
    layer = SwiGlu(3)  # 8 hidden channels
    torch.nn.init.zeros_(layer.w12.weight)
    layer.w12.bias.data = torch.tensor([2.0] * 8 + [5.0] * 8)
    torch.nn.init.ones_(layer.w3.weight)
    torch.nn.init.zeros_(layer.w3.bias)
    expected = 8 * F.silu(torch.tensor(2.0)) * 5
    torch.testing.assert_close(layer(torch.zeros(1, 1, 3)), expected.expand(1, 1, 3))
