"""DINOv2 against other people's work: transformers for networks, OpenCV for positions."""

import re
from collections import defaultdict

import cv2
import numpy as np
import pytest
import torch
from transformers import (
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
)

from dinov2 import Preset, VisionTransformer
from dinov2.layers import resize_positions

RENAMED = {  # transformers, 4.56 and later -> ours
    r"embeddings\.patch_embeddings\.projection": "patch_embed.proj",
    r"embeddings\.position_embeddings": "pos_embed",
    r"embeddings\.": "",
    r"(encoder\.)?layers?\.(?=\d)": "blocks.",
    r"attention\.(attention\.)?(query|key|value|[qkv]_proj)\.": "attn.qkv.",
    r"attention\.(output\.dense|o_proj)\.": "attn.proj.",
    r"layer_scale([12])\.lambda1": r"ls\1.gamma",
    r"(weights_in|gate_proj|up_proj)\.": "w12.",
    r"(weights_out|down_proj)\.": "w3.",
    r"layernorm\.": "norm.",
}


def twins(ffn: str, registers: int) -> tuple[torch.nn.Module, VisionTransformer]:
    """A small random network of transformers, and ours with the same weights."""
    torch.manual_seed(0)
    config_type, model_type = (
        (Dinov2WithRegistersConfig, Dinov2WithRegistersModel)
        if registers
        else (Dinov2Config, Dinov2Model)
    )
    settings = {
        "hidden_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "image_size": 42,
        "patch_size": 14,
        "use_swiglu_ffn": ffn == "swiglu",
    }
    if registers:
        settings["num_register_tokens"] = registers
    theirs = model_type(config_type(**settings)).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = VisionTransformer(Preset(48, 3, 3, ffn, registers, trained_size=42)).eval()
    ours.load_state_dict(renamed(theirs.state_dict()))
    return theirs, ours


def renamed(theirs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    parts = defaultdict(list)  # query, key and value are one layer of ours, as are gate and value
    for name, value in theirs.items():
        for old, new in RENAMED.items():
            name = re.sub(old, new, name)
        parts[name].append(value)
    del parts["mask_token"]
    return {name: torch.cat(values) if values[1:] else values[0] for name, values in parts.items()}


@torch.inference_mode()
def assert_same_features(theirs: torch.nn.Module, ours: VisionTransformer, size: tuple) -> None:
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    patches = ours(images)
    expected = theirs(images).last_hidden_state[:, -patches.shape[1] :]
    assert patches.shape == (2, size[0] * size[1] // 14**2, 48)
    torch.testing.assert_close(patches, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("registers", [0, 4])
@pytest.mark.parametrize("ffn", ["mlp", "swiglu"])
def test_features__equal_transformers_at_the_trained_size(ffn, registers):
    assert_same_features(*twins(ffn, registers), size=(42, 42))


@pytest.mark.parametrize("size", [(28, 70), (84, 56), (126, 14)])
def test_features__with_registers_equal_transformers_at_other_sizes(size):
    assert_same_features(*twins("swiglu", registers=4), size=size)


@pytest.mark.parametrize("size", [(28, 70), (84, 56)])
def test_features__without_registers_equal_transformers_where_positions_are_uniform(size):
    theirs, ours = twins("mlp", registers=0)  # transformers does not know the offset of 0.1
    for positions in (theirs.embeddings.position_embeddings, ours.pos_embed):
        positions.data[:, 1:] = positions.data[:, 1:2]
    assert_same_features(theirs, ours, size)


@pytest.mark.parametrize("grid", [(20, 26), (37, 40), (64, 9)])
def test_resize_positions__without_antialias_equals_opencv_with_the_offset(grid):
    positions = torch.randn(1, 37 * 37, 1, generator=torch.Generator().manual_seed(2))
    resized = resize_positions(positions, grid, antialias=False)
    expected = cv2.resize(
        positions.view(37, 37).numpy(),
        None,
        fx=(grid[1] + 0.1) / 37,
        fy=(grid[0] + 0.1) / 37,
        interpolation=cv2.INTER_CUBIC,
    )
    assert expected.shape == grid
    np.testing.assert_allclose(resized.view(grid).numpy(), expected, atol=1e-4)
