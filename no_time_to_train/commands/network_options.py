"""Which networks a command for people's own pictures uses: flags, settings files, or what is there.

No PyTorch is imported.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from no_time_to_train.commands.command_parser import check_known
from no_time_to_train.commands.published_weights import FAMILIES, published_weights
from no_time_to_train.config import DOWNLOAD
from no_time_to_train.config_files import load_config
from no_time_to_train.errors import InputError
from no_time_to_train.memory.description import EncoderSpec
from no_time_to_train.settings import Settings, read_configs

PREFERRED = {
    "SAM 2": [f"{v}_hiera_{size}" for size in ("s", "t", "b+", "l") for v in ("sam2.1", "sam2")],
    "DINOv2": [
        f"dinov2_{size}{registers}"
        for size in ("small", "base", "large", "giant")
        for registers in ("", "_reg4")
    ],
}
"""Presets by family, in the order in which weights are looked for."""
FLAGS = {"SAM 2": "--sam2", "DINOv2": "--encoder"}
DEMO_MODELS = Path(__file__).resolve().parents[2] / "demo_models"
"""In a checkout of this project."""
DEMO_FILES = {"sam2_hiera_demo": "sam2_hiera_demo.pt", "dinov2_demo": "dinov2_demo.pth"}


def add_network_arguments(parser: ArgumentParser) -> None:
    """Add --sam2, --encoder, their checkpoints, --device and --config."""
    networks = parser.add_argument_group("networks")
    there = "by default the smallest whose weights are in checkpoints/"
    for flag, text in (
        ("--sam2", f"SAM 2 preset, such as sam2.1_hiera_s or sam2_hiera_demo; {there}."),
        (
            "--encoder",
            f"DINOv2 preset, such as dinov2_small or dinov2_demo, or timm/NAME; {there}, or that "
            "of the memory.",
        ),
    ):
        networks.add_argument(flag, metavar="NAME", help=text)
        networks.add_argument(
            f"{flag}-checkpoint",
            type=Path,
            metavar="FILE",
            help="Its weights, where they are not in checkpoints/.",
        )
    networks.add_argument(
        "--device", metavar="NAME", help="cpu, cuda or cuda:1; by default the GPU if there is one."
    )
    networks.add_argument(
        "--config",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="YAML file of settings as `test` takes them, such as configs/demo.yaml; may be given "
        "several times, later ones win, and flags over all.",
    )


def network_settings(options: Namespace, memory_encoder: EncoderSpec | None = None) -> Settings:
    """The settings that flags and files make, with networks chosen where they name none.

    Args:
        options: As parsed.
        memory_encoder: What filled the memory that is used, if one is.

    Raises:
        InputError: A file or preset does not exist, or there are no weights to choose from.
    """
    model: dict[str, Any] = {}
    sizes: dict[str, Any] = {}
    if options.sam2 or options.sam2_checkpoint or not _names(options.config, "sam2_cfg_file"):
        model |= _sam2(options)
        sizes["test"] = {"image_size": _sam2_side(model["sam2_cfg_file"])}
    if options.encoder or options.encoder_checkpoint or not _names(options.config, "encoder_cfg"):
        model |= _encoder(options, memory_encoder)
        if side := model["encoder_cfg"]["img_size"]:
            sizes["fill_memory"] = {"image_size": side}
    flags = {"model_cfg": model, "dataset_cfgs": sizes}
    settings = read_configs(options.config, {"model": {"init_args": flags}})
    _check_weights("SAM 2", settings.model.sam2_cfg_file.removesuffix(".yaml"), settings)
    _check_weights("DINOv2", settings.model.encoder_cfg.name, settings)
    return settings


def _names(configs: Sequence[Path], setting: str) -> bool:
    """Whether one of the files has this setting of model_cfg."""
    for path in configs:
        content: Any = load_config(path)
        for key in ("model", "init_args", "model_cfg"):
            content = content.get(key) if isinstance(content, Mapping) else None
        if isinstance(content, Mapping) and setting in content:
            return True
    return False


def _sam2(options: Namespace) -> dict[str, Any]:
    name = (options.sam2 or _first_there("SAM 2", options.sam2_checkpoint)).removesuffix(".yaml")
    check_known(name, FAMILIES["SAM 2"].presets.PRESETS, "preset of SAM 2")
    path = options.sam2_checkpoint or _expected(name)
    return {"sam2_cfg_file": f"{name}.yaml", "sam2_ckpt_path": str(path)}


def _sam2_side(config_name: str) -> int:
    side: int = FAMILIES["SAM 2"].presets.PRESETS[config_name.removesuffix(".yaml")].image_size
    return side


def _encoder(options: Namespace, memory_encoder: EncoderSpec | None) -> dict[str, Any]:
    of_memory = memory_encoder.name if memory_encoder else None
    name = options.encoder or of_memory or _first_there("DINOv2", options.encoder_checkpoint)
    if "/" in name:
        side = memory_encoder.img_size if memory_encoder else None
        path = options.encoder_checkpoint or DOWNLOAD
    else:
        presets = FAMILIES["DINOv2"].presets.PRESETS
        check_known(name, presets, "preset of DINOv2")
        side = (memory_encoder and memory_encoder.img_size) or presets[name].trained_size
        path = options.encoder_checkpoint or _expected(name)
    return {"encoder_cfg": {"name": name, "img_size": side}, "encoder_ckpt_path": str(path)}


def _first_there(family: str, checkpoint: Path | None) -> str:
    """The first preset whose weights are where they are expected."""
    if checkpoint is not None:
        raise InputError(
            f"{FLAGS[family]}-checkpoint {checkpoint} is given without {FLAGS[family]}; say which "
            "preset it is of"
        )
    known = published_weights()
    for name in PREFERRED[family]:
        if known[name].path.is_file():
            return name
    wanted = " ".join(names[0] for names in PREFERRED.values())
    raise InputError(
        f"there are no weights of {family} in {FAMILIES[family].folder}; get some with "
        f"`no-time-to-train weights {wanted}`, or name others with {FLAGS[family]} and "
        f"{FLAGS[family]}-checkpoint; --config configs/demo.yaml tries small networks that came "
        "with the code"
    )


def _expected(name: str) -> Path:
    """Where the weights of a preset are expected."""
    if name in DEMO_FILES:
        return DEMO_MODELS / DEMO_FILES[name]
    return published_weights()[name].path


def _check_weights(family: str, name: str, settings: Settings) -> None:
    model = settings.model
    path = Path(model.sam2_ckpt_path if family == "SAM 2" else model.encoder_ckpt_path)
    presets = FAMILIES[family].presets
    if name not in presets.PRESETS or str(path) == DOWNLOAD or path.exists():
        return
    if published_weights().get(name, (None,))[0] == path:
        raise InputError(
            f"the weights of {name}, {path}, are not there; get them with `no-time-to-train "
            f"weights {name}`"
        )
    raise InputError(presets.missing_weights(name, path))
