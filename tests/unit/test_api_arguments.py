"""What the Python API takes, and the sentence for what it does not take."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from no_time_to_train.api import FewShotSegmenter
from no_time_to_train.api.arguments import usable_device
from no_time_to_train.config import ModelConfig
from no_time_to_train.dataset.instance_masks import to_mask
from no_time_to_train.errors import InputError
from no_time_to_train.settings import read_configs
from tests.cli.conftest import ROOT
from tests.unit.test_api_state import make, picture  # noqa: F401

INSIDE = np.array([[False, True, False], [False, True, True]])  # (2, 3)


def colours() -> Image.Image:
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[INSIDE] = (0, 0, 7)
    return Image.fromarray(pixels)


def palette() -> Image.Image:
    indices = Image.fromarray(INSIDE.astype(np.uint8))
    indices.putpalette([0, 0, 0, 0, 0, 0])  # both black: the index counts
    return indices


@pytest.mark.parametrize(
    "mask",
    [
        INSIDE,
        INSIDE.tolist(),
        INSIDE.astype(np.uint8) * 255,
        -INSIDE.astype(np.int64),
        INSIDE * 0.25,
        torch.from_numpy(INSIDE),
        Image.fromarray(INSIDE),
        Image.fromarray(INSIDE.astype(np.uint8)),
        Image.fromarray(INSIDE.astype(np.uint16) * 256),
        Image.fromarray(INSIDE.astype(np.float32) * 0.5),
        palette(),
        colours(),
    ],
)
def test_to_mask__is_true_where_it_is_not_zero(mask: Any, tmp_path: Path) -> None:
    assert to_mask(mask, "the mask").tolist() == INSIDE.tolist()
    if isinstance(mask, Image.Image) and mask.mode != "F":
        mask.save(tmp_path / "mask.png")
        for path in (tmp_path / "mask.png", str(tmp_path / "mask.png")):
            assert to_mask(path, "the mask").tolist() == INSIDE.tolist()


def test_to_mask__is_turned_as_its_orientation_says(tmp_path: Path) -> None:
    turned = Image.fromarray(INSIDE.astype(np.uint8)).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise by 90 degrees
    turned.save(tmp_path / "mask.png", exif=exif)
    assert to_mask(tmp_path / "mask.png", "the mask").tolist() == INSIDE.tolist()


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (None, "is None"),
        (b"bytes", "of type bytes"),
        (3, r"has the shape \(\)"),
        (np.zeros((2, 3, 1)), r"has the shape \(2, 3, 1\)"),
        (np.zeros((3, 2, 3)), r"has the shape \(3, 2, 3\)"),
        (torch.zeros(1, 2, 3), r"has the shape \(1, 2, 3\)"),
        (np.full((2, 3), np.nan), "holds NaN"),
        (np.zeros((2, 3), complex), "an array of complex128"),
        (np.array([["a", "b"]]), "an array of <U1"),
        ([[1], [1, 2]], "is no array"),
        ({"a": 1}, "of type dict"),
        (torch.zeros(2, 3, requires_grad=True), "is no array"),
        (torch.zeros(2, 3, device="meta"), "is no array"),
        ("nowhere.png", "nowhere.png does not exist"),
        (Path("."), "is a folder"),
        (Path(__file__), "cannot be read"),
        (Image.new("RGBA", (3, 2)), "alpha channel"),
        (Image.new("LA", (3, 2)), "alpha channel"),
    ],
)
def test_to_mask__of_another_kind_is_a_sentence(mask: Any, words: str) -> None:
    with pytest.raises(InputError, match=f"the mask of this coin.*{words}"):
        to_mask(mask, "the mask of this coin")


def test_to_mask__a_jpeg_is_refused(tmp_path: Path) -> None:
    Image.fromarray(INSIDE).convert("L").save(tmp_path / "mask.jpg")
    with pytest.raises(InputError, match="save it as PNG"):
        to_mask(tmp_path / "mask.jpg", "the mask")


@pytest.mark.parametrize("name", [None, "", "  ", 3, b"coin", ["coin"], "\ud800", torch.zeros(2)])
def test_remember__a_name_that_is_no_text_is_named(make: Any, name: Any) -> None:  # noqa: F811
    with pytest.raises(InputError, match=r"^name is "):
        make().remember(picture("red"), np.ones((12, 12)), name)


def test_remember__spaces_around_a_name_do_not_count(make: Any) -> None:  # noqa: F811
    segmenter: FewShotSegmenter = make()
    segmenter.remember(picture("red"), np.ones((12, 12)), "coin")
    segmenter.remember(picture("red"), np.ones((12, 12)), " coin\n")
    assert segmenter.class_names == ["coin"]


@pytest.mark.parametrize("path", [None, 3, b"memory.pth", ""])
def test_load_and_save__what_is_no_path_is_named(make: Any, path: Any) -> None:  # noqa: F811
    segmenter: FewShotSegmenter = make()
    segmenter.remember(picture("red"), np.ones((12, 12)), "coin")
    for call in (segmenter.load, segmenter.save):
        with pytest.raises(InputError, match=r"^path is "):
            call(path)


def test_save__onto_what_is_no_file_is_a_sentence(make: Any, tmp_path: Path) -> None:  # noqa: F811
    segmenter: FewShotSegmenter = make()
    segmenter.remember(picture("red"), np.ones((12, 12)), "coin")
    for path, words in ((tmp_path, "is a folder"), ("a\0b", "cannot be opened")):
        with pytest.raises(InputError, match=words):
            segmenter.save(path)


DEMO = {
    "sam2": "sam2_hiera_demo",
    "sam2_checkpoint": ROOT / "demo_models/sam2_hiera_demo.pt",
    "encoder": "dinov2_demo",
    "encoder_checkpoint": ROOT / "demo_models/dinov2_demo.pth",
    "encoder_image_size": 252,
    "device": "cpu",
}
SETTINGS = re.compile(r"model_cfg|sam2_cfg|encoder_cfg|img_size|ckpt_path|fill_memory|dataset_cfgs")


@pytest.mark.parametrize(
    ("argument", "value", "words"),
    [
        ("sam2", None, "^sam2 is None; give one of sam2_hiera_t, "),
        ("sam2", "foo", "^sam2 is 'foo'; give one of sam2_hiera_t, "),
        ("encoder", 3, "^encoder is 3; give the name of a preset"),
        ("encoder", "foo", "^encoder is 'foo'; give one of dinov2_small, "),
        ("encoder", "", "^encoder is ''; give one of"),
        ("sam2_checkpoint", None, "^sam2_checkpoint is None; give the name of a file"),
        ("sam2_checkpoint", b"x.pt", "^sam2_checkpoint is b'x.pt'"),
        ("sam2_checkpoint", "nowhere.pt", "^the SAM 2 checkpoint nowhere.pt does not exist"),
        ("encoder_checkpoint", 3, "^encoder_checkpoint is 3"),
        ("encoder_checkpoint", "nowhere.pth", "^nowhere.pth, the weights of dinov2_demo, does not"),
        ("encoder_image_size", "big", "^encoder_image_size is 'big'; give a number of pixels"),
        ("encoder_image_size", 14.0, "^encoder_image_size is 14.0"),
        ("encoder_image_size", -14, "^encoder_image_size is -14"),
        ("encoder_image_size", True, "^encoder_image_size is True"),
        ("encoder_image_size", 10**9, "^encoder_image_size is 10+; give .* from 1 to 8192"),
        ("encoder_image_size", 15, "^encoder_image_size must be a multiple .*got 15; set it to 14"),
        ("device", "warp", "^device 'warp' does not exist here"),
        ("device", 3, "^device 3 does not exist here"),
    ],
)
def test_from_preset__what_is_wrong_is_named_as_the_argument(
    argument: str, value: Any, words: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        FewShotSegmenter.from_preset(**DEMO | {argument: value})
    assert not SETTINGS.search(str(caught.value))


def test_from_preset__takes_presets_with_and_without_yaml() -> None:
    for name in ("sam2_hiera_demo", "sam2_hiera_demo.yaml"):
        assert FewShotSegmenter.from_preset(**DEMO | {"sam2": name}).classes == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"config": {"model_cfg": 1}},
            r"^config is .*; give a ModelConfig, or use from_con",
        ),
        ({"datasets": 3}, "^datasets is 3; give a DatasetsConfig"),
        ({"loading": {}}, "^loading is {}; give a DataLoadConfig"),
        ({"image_size": "big"}, "^image_size is 'big'; give a number of pixels"),
        ({"image_size": 10**6}, "^image_size is 1000000; give .* from 1 to 8192"),
    ],
)
def test_from_settings__an_argument_of_another_type_is_named(arguments: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        FewShotSegmenter.from_settings(**{"config": ModelConfig(), "device": "cpu"} | arguments)


@pytest.mark.parametrize("device", ["warp", "cuda:99", "cpu:x", 3.5, "meta", ""])
def test_usable_device__that_does_not_exist_is_named(device: Any) -> None:
    with pytest.raises(InputError, match="does not exist here"):
        usable_device(device)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"model: {init_args: {model_cfg: {sam2_cfg: x}}}", "sam2_cfg"),
        (b"model: [1]", "no settings under"),
        (b"model: {init_args: 3}", "no settings under"),
        (b"\xff\xfe\x00", "no text in UTF-8"),
        (b"a: [", "no valid YAML"),
        (b"model: {init_args: {model_cgf: {name: x}}}", "model_cgf"),
        (b"model: {init_args: {dataset_cfgs: {fill_memory: {contxt_ratio: 1}}}}", "contxt_ratio"),
        (b"model: {init_args: {dataset_cfgs: {fill_memory: {cat_names: [no]}}}}", "quote it"),
        (b"model: {init_args: {dataset_cfgs: {test: {image_size: big}}}}", "image_size.*big"),
    ],
)
def test_read_configs__names_the_file_that_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text("model: {init_args: {model_cfg: {dataset_name: photos}}}")
    Path("wrong.yaml").write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_configs(["good.yaml", "wrong.yaml", "good.yaml"])
    assert "wrong.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", [None, 3, ".", "nowhere.yaml"])
def test_from_config__what_is_no_file_is_a_sentence(path: Any) -> None:
    with pytest.raises(InputError):
        FewShotSegmenter.from_config(path)


def test_read_configs__sizes_of_references_and_encoder_must_agree(tmp_path: Path) -> None:
    sizes = (
        "model_cfg: {encoder_cfg: {img_size: 28}}, dataset_cfgs: {fill_memory: {image_size: 14}}"
    )
    (tmp_path / "sizes.yaml").write_text(f"model: {{init_args: {{{sizes}}}}}")
    with pytest.raises(InputError, match=r"image_size is 14, but encoder_cfg.img_size is 28; give"):
        read_configs([tmp_path / "sizes.yaml"])


@pytest.mark.parametrize(
    ("accelerator", "device"), [("cpu", "cpu"), ("gpu", "cuda"), ("auto", None), (None, None)]
)
def test_read_configs__takes_the_device_of_the_trainer(
    tmp_path: Path, accelerator: str | None, device: str | None
) -> None:
    path = tmp_path / "trainer.yaml"
    path.write_text(f"trainer: {{accelerator: {accelerator}}}" if accelerator else "")
    assert read_configs([path]).device == device


def test_read_configs__later_files_win_and_empty_ones_change_nothing(tmp_path: Path) -> None:
    names = [tmp_path / f"{number}.yaml" for number in range(3)]
    size = "dataset_cfgs: {test: {image_size: 64}}"
    names[0].write_text(f"model: {{init_args: {{model_cfg: {{dataset_name: a}}, {size}}}}}")
    names[1].write_text("model: {init_args: {model_cfg: {dataset_name: b}}}")
    names[2].write_text("# nothing yet\n")
    settings = read_configs(names)
    assert (settings.model.dataset_name, settings.image_size) == ("b", 64)
