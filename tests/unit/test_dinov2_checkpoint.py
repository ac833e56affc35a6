"""Reading DINOv2 weights, and what people are told when a file is not what they think."""

from pathlib import Path

import pytest
import torch

from dinov2 import PRESETS, build_dinov2, identify_preset


@pytest.fixture(scope="module")
def demo_state():
    return {**build_dinov2("dinov2_demo").state_dict(), "mask_token": torch.zeros(1, 192)}


@pytest.fixture
def save(tmp_path):
    def write(content, **options) -> Path:
        torch.save(content, tmp_path / "weights.pth", **options)
        return tmp_path / "weights.pth"

    return write


def refusal(path: Path, name: str = "dinov2_demo") -> str:
    """The one sentence that comes of reading `path`."""
    with pytest.raises(ValueError) as caught:
        build_dinov2(name, checkpoint=path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_build__reads_the_values_of_a_checkpoint(demo_state, save, zipped):
    path = save(demo_state, _use_new_zipfile_serialization=zipped)
    loaded = build_dinov2("dinov2_demo", checkpoint=str(path)).state_dict()
    assert loaded.keys() == demo_state.keys() - {"mask_token"}
    assert all(torch.equal(value, demo_state[key]) for key, value in loaded.items())


def test_build__keeps_its_weights_when_the_file_changes(demo_state, save):
    path = save(demo_state)
    model = build_dinov2("dinov2_demo", checkpoint=path)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert torch.equal(model.pos_embed, demo_state["pos_embed"])


def test_build__stores_half_precision_weights_in_full_precision(demo_state, save):
    path = save({key: value.half() for key, value in demo_state.items()})
    model = build_dinov2("dinov2_demo", checkpoint=path)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_build__gives_a_network_for_inference():
    model = build_dinov2("dinov2_demo")
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())
    assert not model(torch.zeros(1, 3, 14, 14)).requires_grad


@pytest.mark.parametrize(
    ("name", "advice"),
    [("dinov2_lage", "use dinov2_large"), ("resnet", "use dinov2_small or dinov2_base or ")],
)
def test_build__with_an_unknown_name_suggests_known_ones(name, advice):
    with pytest.raises(ValueError, match=f"no DINOv2 preset '{name}'; {advice}"):
        build_dinov2(name)


def test_build__with_a_size_that_is_no_multiple_of_14_says_so():
    with pytest.raises(ValueError, match=r"500 x 500 .* multiples of 14"):
        build_dinov2("dinov2_demo", img_size=500)


def test_build__with_a_missing_file_says_how_to_get_it_before_building(tmp_path):
    path = tmp_path / "my weights" / "large.pth"
    with pytest.raises(FileNotFoundError) as caught:
        build_dinov2("dinov2_large", checkpoint=path)
    command = f"mkdir -p '{path.parent}' && wget -O '{path}' {PRESETS['dinov2_large'].url}"
    assert f"`{command}`" in str(caught.value)


def test_build__with_missing_demo_weights_offers_no_download(tmp_path):
    with pytest.raises(FileNotFoundError, match="weights of dinov2_demo, does not exist") as caught:
        build_dinov2("dinov2_demo", checkpoint=tmp_path / "demo.pth")
    assert "wget" not in str(caught.value)


def test_build__with_the_weights_of_another_preset_names_it(demo_state, save):
    message = refusal(save(demo_state), "dinov2_small_reg4")
    assert "does not hold the weights of dinov2_small_reg4" in message
    first = "register_tokens, blocks.4.norm1.weight, blocks.4.norm1.bias"
    assert f"113 missing ({first}, ...)" in message  # registers, and 8 blocks of 14 tensors
    assert "cls_token (1, 1, 192) for (1, 1, 384)" in message
    assert "it looks like dinov2_demo" in message


def test_build__with_odd_tensors_lists_them(demo_state, save):
    state = {**demo_state, "head.weight": torch.zeros(3), "norm.bias": torch.zeros(7)}
    del state["norm.weight"]
    message = refusal(save(state))
    assert "1 missing (norm.weight), 1 unexpected (head.weight)" in message
    assert "1 misshapen (norm.bias (7,) for (192,))" in message
    assert "it looks like no known preset" in message


def test_build__with_sam2_weights_says_so(save):
    message = refusal(save({"model": {"image_encoder.trunk.pos_embed": torch.zeros(1)}}))
    assert 'one entry "model", as SAM 2 checkpoints do' in message


def test_build__with_a_memory_checkpoint_says_so(save):
    message = refusal(save({"state_dict": {"seg_model.mem_feats": torch.zeros(1)}, "epoch": 0}))
    assert "a Lightning checkpoint, such as a memory bank" in message


@pytest.mark.parametrize(
    ("content", "described"),
    [
        ([torch.zeros(1)], "a list"),
        ({"student": {}, "step": 3}, "'student', 'step'"),
        ({0: torch.zeros(1)}, "as 0"),
    ],
)
def test_build__with_something_else_inside_describes_it(save, content, described):
    assert described in refusal(save(content))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_build__with_a_truncated_file_says_so(demo_state, save, zipped, share):
    path = save(demo_state, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "incomplete or something else" in refusal(path)


@pytest.mark.parametrize(
    "content", [b"<html>404</html>", b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"\x00" * 100]
)
def test_build__with_a_file_of_another_kind_says_so(tmp_path, content):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    assert "incomplete or something else" in refusal(path)


class Payload:
    """Unpickles by calling open(): code that a checkpoint must not be able to run."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_build__runs_no_code_of_a_file(tmp_path, save, zipped):
    target = tmp_path / "written"
    refusal(save({"cls_token": Payload(target)}, _use_new_zipfile_serialization=zipped))
    assert not target.exists()


def test_identify_preset__knows_no_name_for_other_networks():
    assert identify_preset({"weight": torch.zeros(1)}) is None
