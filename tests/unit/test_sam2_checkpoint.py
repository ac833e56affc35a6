"""Which SAM 2 checkpoints load, and what the others are told."""

import json
from pathlib import Path

import pytest
import torch

from sam2 import PRESETS, build_sam2, identify_preset

DEMO = "sam2_hiera_demo"
MANIFESTS = Path(__file__).parents[1] / "golden" / "manifests"
VIDEO_TENSORS = [
    "maskmem_tpos_enc",
    "no_mem_embed",
    "no_mem_pos_enc",
    "no_obj_ptr",
    "no_obj_embed_spatial",
    "mask_downsample.weight",
    "memory_attention.layers.0.norm1.weight",
    "memory_encoder.out_proj.bias",
    "obj_ptr_proj.layers.0.weight",
    "obj_ptr_tpos_proj.weight",
    "sam_prompt_encoder.mask_downscaling.0.weight",
    "sam_mask_decoder.pred_obj_score_head.layers.0.weight",
]


@pytest.fixture(scope="module")
def demo_state():
    torch.manual_seed(0)
    return build_sam2(DEMO).state_dict()


@pytest.fixture
def checkpoint(tmp_path, demo_state):
    """Write a checkpoint of the demo model, some tensors replaced, added, or (None) left out."""

    def write(**changes):
        state = {
            **demo_state,
            **{name.replace("__", "."): value for name, value in changes.items()},
        }
        path = tmp_path / "demo.pt"
        kept = {name: tensor for name, tensor in state.items() if tensor is not None}
        torch.save({"model": kept}, path)
        return path

    return write


def refusal(name, path) -> str:
    with pytest.raises(ValueError) as caught:
        build_sam2(name, path)
    return str(caught.value)


def test_build_sam2__loads_every_tensor_in_eval_mode_without_gradients(checkpoint, demo_state):
    model = build_sam2(f"{DEMO}.yaml", checkpoint())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, demo_state[name]), name
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_build_sam2__ignores_the_tensors_of_video(checkpoint):
    path = checkpoint(**{name.replace(".", "__"): torch.zeros(1) for name in VIDEO_TENSORS})
    assert build_sam2(DEMO, path).mask_size == 64


def test_build_sam2__reads_a_bare_state_in_half_precision_and_the_old_format(tmp_path, demo_state):
    path = tmp_path / "bare.pt"
    halves = {name: tensor.half() for name, tensor in demo_state.items()}
    torch.save(halves, path, _use_new_zipfile_serialization=False)
    token = build_sam2(DEMO, path).sam_mask_decoder.iou_token.weight
    assert token.dtype == torch.float32
    assert torch.equal(token.half(), halves["sam_mask_decoder.iou_token.weight"])


def test_build_sam2__another_image_size_changes_the_frame_alone(checkpoint):
    model = build_sam2(DEMO, checkpoint(), image_size=320)
    assert (model.image_size, model.mask_size) == (320, 80)
    assert model.encode(torch.zeros(1, 3, 320, 320)).embedding.shape == (1, 96, 20, 20)


@pytest.mark.parametrize("image_size", [0, -32, 100])
def test_build_sam2__refuses_sizes_that_are_no_multiple_of_32(image_size):
    with pytest.raises(ValueError, match=f"multiple of 32, got {image_size}"):
        build_sam2(DEMO, image_size=image_size)


def test_build_sam2__lists_the_models_it_knows():
    with pytest.raises(
        ValueError, match=r"no SAM 2 model 'sam2_hiera_xl'; choose .*sam2_hiera_b\+"
    ):
        build_sam2("sam2_hiera_xl.yaml")


@pytest.mark.parametrize("name", [name for name in PRESETS if name != DEMO])
def test_build_sam2__tells_how_to_get_a_checkpoint_that_does_not_exist(name, tmp_path):
    size = {"t": "tiny", "s": "small", "b+": "base_plus", "l": "large"}[name.rpartition("_")[2]]
    file = f"{name.rpartition('_')[0]}_{size}.pt"
    folder = {"sam2_hiera": "072824", "sam2.1_hiera": "092824"}[name.rpartition("_")[0]]
    path = tmp_path / "checkpoints" / "mine.pt"
    with pytest.raises(FileNotFoundError) as caught:
        build_sam2(name, path)
    url = f"https://dl.fbaipublicfiles.com/segment_anything_2/{folder}/{file}"
    assert f"`mkdir -p {path.parent} && wget -O {path} {url}`" in str(caught.value)


def test_build_sam2__a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        build_sam2(DEMO, tmp_path)


def test_build_sam2__counts_and_names_what_does_not_fit(checkpoint):
    message = refusal(
        DEMO,
        checkpoint(
            sam_mask_decoder__conv_s0__weight=None,
            surprise=torch.zeros(1),
            memory_of_last_summer=torch.zeros(1),
            sam_mask_decoder__conv_s1__bias=torch.zeros(7),
        ),
    )
    assert "1 missing (sam_mask_decoder.conv_s0.weight)" in message
    assert "2 unexpected (surprise, memory_of_last_summer)" in message
    assert "1 of another shape (sam_mask_decoder.conv_s1.bias)" in message


def test_build_sam2__names_at_most_three_of_a_kind(checkpoint):
    message = refusal(
        DEMO, checkpoint(a=torch.zeros(1), b=torch.zeros(1), c=torch.zeros(1), d=torch.zeros(1))
    )
    assert "4 unexpected (a, b, c, ...)" in message


def test_build_sam2__says_which_model_a_file_belongs_to(checkpoint):
    assert "it looks like sam2_hiera_demo: choose that model" in refusal(
        "sam2_hiera_t", checkpoint()
    )


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"cls_token": torch.zeros(1), "mask_token": torch.zeros(1)}, "such as DINOv2"),
        ({"state_dict": {"seg_model.mem_feats_ins_avg": torch.zeros(1)}}, "a memory checkpoint"),
        ({"image_encoder.patch_embed.proj.weight": torch.zeros(1)}, "the first SAM"),
        (
            {"vision_encoder.backbone.patch_embed.projection.weight": torch.zeros(1)},
            "SAM 2 for transformers",
        ),
    ],
)
def test_build_sam2__says_what_another_kind_of_file_is(content, kind, tmp_path):
    torch.save(content, tmp_path / "other.pt")
    message = refusal("sam2_hiera_demo", tmp_path / "other.pt")
    assert "it looks like" in message
    assert kind in message


def test_build_sam2__refuses_files_that_are_cut_short_or_no_checkpoint_at_all(checkpoint, tmp_path):
    path = checkpoint()
    for content in (path.read_bytes()[:100_000], b"", b"<html>404</html>"):
        (tmp_path / "broken.pt").write_bytes(content)
        message = refusal("sam2_hiera_t", tmp_path / "broken.pt")
        assert (
            "broken.pt is not a PyTorch checkpoint of tensors, or not all of it; get it" in message
        )


def test_build_sam2__refuses_a_lone_tensor(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "lone.pt")
    assert "holds one Tensor, no named tensors" in refusal(DEMO, tmp_path / "lone.pt")


@pytest.mark.parametrize(
    ("manifest", "name"),
    [
        ("sam2_hiera_tiny", "sam2_hiera_t"),
        ("sam2_hiera_small", "sam2_hiera_s"),
        ("sam2_hiera_base_plus", "sam2_hiera_b+"),
        ("sam2_hiera_large", "sam2_hiera_l"),
        ("dinov2_vitl14", None),
    ],
)
def test_identify_preset__knows_official_files_by_names_and_shapes(manifest, name):
    shapes = json.loads((MANIFESTS / f"{manifest}.json").read_text())
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    assert identify_preset(state) == name
    assert identify_preset({"model": state}) == name


def test_identify_preset__tells_sam_2_1_by_its_additions(demo_state):
    shapes = json.loads((MANIFESTS / "sam2_hiera_tiny.json").read_text())
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    state["no_obj_embed_spatial"] = torch.empty(1, 64, device="meta")
    assert identify_preset(state) == "sam2.1_hiera_t"
    assert identify_preset(demo_state) == DEMO
