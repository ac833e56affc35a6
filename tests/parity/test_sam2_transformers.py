"""SAM 2 against transformers' implementation, at sizes the golden files do not cover."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from transformers import Sam2Config, Sam2Model

from sam2 import PRESETS, Preset, Sam2ImageModel, build_sam2
from tests.golden import deterministic

RENAMED = {  # transformers, 4.56 and later -> ours, in this order
    r"^vision_encoder\.backbone": "image_encoder.trunk",
    r"^vision_encoder\.neck\.convs\.(\d)\.": r"image_encoder.neck.convs.\1.conv.",
    r"^prompt_encoder\.": "sam_prompt_encoder.",
    r"^mask_decoder\.": "sam_mask_decoder.",
    r"\.patch_embed\.projection\.": ".patch_embed.proj.",
    r"^shared_image_embedding\.positional_embedding": (
        "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    ),
    r"\.shared_embedding\.positional_embedding": ".pe_layer.positional_encoding_gaussian_matrix",
    r"\.layer_norm_final_attn\.": ".norm_final_attn.",
    r"\.layer_norm(\d)\.": r".norm\1.",
    r"\.o_proj\.": ".out_proj.",
    r"\.mlp\.proj_in\.": ".mlp.layers.0.",
    r"\.mlp\.proj_out\.": ".mlp.layers.1.",
    r"(_mlps\.\d|_head)\.layers\.0\.": r"\1.layers.1.",
    r"(_mlps\.\d|_head)\.proj_in\.": r"\1.layers.0.",
    r"(_mlps\.\d|_head)\.proj_out\.": r"\1.layers.2.",
    r"\.upscale_conv1\.": ".output_upscaling.0.",
    r"\.upscale_layer_norm\.": ".output_upscaling.1.",
    r"\.upscale_conv2\.": ".output_upscaling.3.",
}
WITHOUT_A_TWIN = (
    "no_memory_embedding",
    "mask_decoder.pred_obj_score_head.",
    "prompt_encoder.mask_embed.",
)

LIMIT = 1e-4
CASES = [  # preset, image size
    ("sam2.1_hiera_t", 512),
    ("sam2.1_hiera_t", 224),
    ("sam2_hiera_demo", 256),
    ("sam2_hiera_demo", 384),
]


def renamed(name: str) -> str:
    for theirs, ours in RENAMED.items():
        name = re.sub(theirs, ours, name)
    return name


def config(preset: Preset, image_size: int) -> Sam2Config:
    doubled = [2**stage for stage in range(4)]
    widths = [preset.embed_dim * factor for factor in doubled]
    return Sam2Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": preset.embed_dim,
                "num_attention_heads": preset.num_heads,
                "image_size": [image_size, image_size],
                "blocks_per_stage": list(preset.stages),
                "embed_dim_per_stage": widths,
                "num_attention_heads_per_stage": [preset.num_heads * factor for factor in doubled],
                "global_attention_blocks": list(preset.global_att_blocks),
                "window_size_per_stage": list(preset.window_sizes),
                "window_positional_embedding_background_size": [preset.background_size] * 2,
            },
            "backbone_channel_list": widths[::-1],
            "backbone_feature_sizes": [[image_size // stride] * 2 for stride in (4, 8, 16)],
            "fpn_hidden_size": preset.d_model,
        },
        prompt_encoder_config={"hidden_size": preset.d_model, "image_size": image_size},
        mask_decoder_config={
            "hidden_size": preset.d_model,
            "num_hidden_layers": preset.decoder_depth,
            "num_attention_heads": preset.decoder_num_heads,
            "mlp_dim": preset.decoder_mlp_dim,
            "iou_head_hidden_dim": preset.d_model,
            "dynamic_multimask_via_stability": False,
        },
    )


def copy_weights(ours: Sam2ImageModel, theirs: Sam2Model) -> None:
    """Give `theirs` the weights of `ours`; every tensor of ours must find a place."""
    state, copied = ours.state_dict(), set()
    for name, tensor in theirs.state_dict().items():
        if name.startswith(WITHOUT_A_TWIN):
            continue
        if name == "prompt_encoder.point_embed.weight":
            twins = [f"sam_prompt_encoder.point_embeddings.{i}.weight" for i in range(4)]
        else:
            twins = [renamed(name)]
        tensor.copy_(torch.cat([state[twin] for twin in twins]))
        copied.update(twins)
    assert copied == set(state)


@pytest.fixture(params=["plain", "fast"])
def decoder(request, twins):
    """The decoder that ours uses."""
    twins.ours.decoder = request.param


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def twins(request):
    """Ours and theirs with the same random weights, and one image encoded by each."""
    name, image_size = request.param
    ours = build_sam2(name, image_size=image_size)
    for key, tensor in ours.state_dict().items():
        tensor.copy_(torch.from_numpy(deterministic.weight(key, tuple(tensor.shape), seed=1)))
    theirs = Sam2Model(config(PRESETS[name], image_size)).eval().requires_grad_(False)
    copy_weights(ours, theirs)
    image = torch.from_numpy(deterministic.image("parity", image_size, image_size))
    image = (image[None] - 0.5) / 0.25
    return SimpleNamespace(
        ours=ours,
        theirs=theirs,
        our_features=ours.encode(image),
        their_features=theirs.get_image_embeddings(image),
    )


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).norm() / theirs.norm())


def their_masks(
    twins: SimpleNamespace, **prompt: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """All four masks and IoUs per prompt; transformers returns either the first or the others."""
    halves = [
        twins.theirs(image_embeddings=twins.their_features, multimask_output=multiple, **prompt)
        for multiple in (False, True)
    ]
    masks = torch.cat([half.pred_masks for half in halves], dim=2)[0]
    ious = torch.cat([half.iou_scores for half in halves], dim=2)[0]
    return masks, ious


@contextmanager
def without_padding_after_boxes(twins: SimpleNamespace, boxed: bool = True) -> Iterator[None]:
    """Theirs ends a prompt with a box in a padding point; the published system does not."""
    kept = slice(0, -1) if boxed else slice(None)
    hook = twins.theirs.prompt_encoder.register_forward_hook(
        lambda _module, _inputs, output: (output[0][:, :, kept], output[1])
    )
    yield
    hook.remove()


def test_encode__equals_transformers(twins):
    high_res_0, high_res_1, embedding = twins.their_features
    assert relative_error(twins.our_features.embedding, embedding) < LIMIT
    assert relative_error(twins.our_features.high_res_0, high_res_0) < LIMIT
    assert relative_error(twins.our_features.high_res_1, high_res_1) < LIMIT


@pytest.mark.usefixtures("decoder")
def test_predict_points__equals_transformers(twins):
    points = torch.tensor([[0.0, 0.0], [100.0, 37.5], [twins.ours.image_size - 1.0, 3.0]])
    masks, ious = twins.ours.predict_points(twins.our_features, points)
    expected_masks, expected_ious = their_masks(twins, input_points=points[None, :, None])
    assert relative_error(masks, expected_masks) < LIMIT
    assert relative_error(ious, expected_ious) < LIMIT


@pytest.mark.usefixtures("decoder")
def test_predict_boxes__equals_transformers_without_its_padding_point(twins):
    boxes = torch.tensor([[10.0, 20.0, 90.0, 200.0], [0.0, 0.0, 223.0, 223.0]])
    masks, ious = twins.ours.predict_boxes(twins.our_features, boxes)
    with without_padding_after_boxes(twins):
        expected_masks, expected_ious = their_masks(twins, input_boxes=boxes[None])
    assert relative_error(masks, expected_masks) < LIMIT
    assert relative_error(ious, expected_ious) < LIMIT


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize("count", [1, 4])
def test_predict_masks__of_clicks_and_boxes_equals_transformers(twins, count, boxed):
    generator = torch.Generator().manual_seed(count)
    points = torch.rand(2, count, 2, generator=generator) * twins.ours.image_size
    positive = torch.arange(2 * count).reshape(2, count) % 3 > 0
    boxes = torch.tensor([[10.0, 20.0, 90.0, 200.0], [0.0, 0.0, 223.0, 223.0]])
    prompt = {"input_points": points[None], "input_labels": positive[None].int()}
    tokens = twins.ours.sam_prompt_encoder.clicks(points, positive, boxes if boxed else None)
    masks, ious = twins.ours.predict_masks(twins.our_features, tokens)
    if boxed:
        prompt["input_boxes"] = boxes[None]
    with without_padding_after_boxes(twins, boxed):
        expected_masks, expected_ious = their_masks(twins, **prompt)
    assert relative_error(masks, expected_masks) < LIMIT
    assert relative_error(ious, expected_ious) < LIMIT
