"""What people hand to the Python API, checked: names, paths, ids, devices.

What cannot be used is an InputError that names the argument.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import Any, get_args

import torch

from no_time_to_train.bounds import MAX_SIDE
from no_time_to_train.config import ColourBy, Sam2Name
from no_time_to_train.errors import InputError, listed


def check_name(name: Any, wanted: Sequence[str] | None = None) -> str:
    """The name of a class, without spaces around it.

    Args:
        name: Of any type.
        wanted: Names that classes may have; by default any.
    """
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"name is {shown(name)}; give the class a name, such as 'bird'")
    if any(0xD800 <= ord(letter) < 0xE000 for letter in name):
        raise InputError(f"name is {shown(name)}, which is no Unicode text; give another")
    stripped: str = name.strip()
    if wanted is not None and stripped not in wanted:
        raise InputError(
            f"name is {stripped!r}, which is none of the classes of the configuration "
            f"({listed(wanted)}); change its cat_names or class_split, or the name"
        )
    return stripped


ARGUMENTS = {
    ", and fill_memory.image_size,": "",
    "encoder_cfg.img_size": "encoder_image_size",
    "encoder_cfg.name": "encoder",
}
"""What `from_preset` calls the settings that a sentence may speak of."""


@contextmanager
def speaking_of_arguments() -> Iterator[None]:
    """Let errors about settings name the arguments that they come from."""
    try:
        yield
    except InputError as error:
        text = str(error)
        for setting, argument in ARGUMENTS.items():
            text = text.replace(setting, argument)
        raise type(error)(text) from None


def check_kind(value: Any, kind: type, argument: str, repair: str = "") -> None:
    """Refuse settings that are none."""
    if not isinstance(value, kind):
        raise InputError(f"{argument} is {shown(value)}; give a {kind.__name__}{repair}")


def check_sam2(name: Any) -> Sam2Name:
    """A preset of SAM 2, with or without `.yaml`."""
    presets: dict[str, Sam2Name] = {each.removesuffix(".yaml"): each for each in get_args(Sam2Name)}
    if not isinstance(name, str) or name.removesuffix(".yaml") not in presets:
        raise InputError(f"sam2 is {shown(name)}; give one of {', '.join(presets)}")
    return presets[name.removesuffix(".yaml")]


def check_encoder(name: Any) -> None:
    """Refuse what is no text; whether there is such a preset is found where it is built."""
    if not isinstance(name, str):
        raise InputError(f"encoder is {shown(name)}; give the name of a preset")


def check_side(side: Any, argument: str) -> None:
    """Refuse what is no number of pixels."""
    if not is_id(side) or not 1 <= side <= MAX_SIDE:
        raise InputError(
            f"{argument} is {shown(side)}; give a number of pixels from 1 to {MAX_SIDE}"
        )


def check_count(count: Any, argument: str) -> int:
    """A number of things, 1 at least."""
    if not is_id(count) or count < 1:
        raise InputError(f"{argument} is {shown(count)}; give a whole number from 1 on")
    return int(count)


def check_path(path: Any, argument: str = "path") -> Path:
    """A path in either of its forms."""
    if not isinstance(path, str | Path) or not str(path):
        raise InputError(f"{argument} is {shown(path)}; give the name of a file")
    return Path(path)


def is_id(value: Any) -> bool:
    """Whether it is an integer; a truth value is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_image_id(image_id: Any) -> int | str:
    """An image id as json holds it."""
    if isinstance(image_id, str):
        return image_id
    if not is_id(image_id):
        raise InputError(f"image_id is {shown(image_id)}; give an integer or a text")
    return int(image_id)


def check_score(score: Any, argument: str) -> float:
    """A score to compare with."""
    number = isinstance(score, Real) and not isinstance(score, bool)
    if not number or math.isnan(score):
        raise InputError(f"{argument} is {shown(score)}; give a number, such as 0.5")
    return float(score)


def check_wanted_names(names: Any, class_names: Sequence[str]) -> Sequence[str]:
    """One name of a class, or several."""
    if isinstance(names, bytes) or not isinstance(names, Iterable):
        raise InputError(f"names is {shown(names)}; give names of classes")
    wanted = [names] if isinstance(names, str) else list(names)
    for name in wanted:
        check_class(name, class_names, "names holds")
    return wanted


def check_class(name: Any, class_names: Sequence[str], said: str = "name is") -> str:
    """The name of a class that there is."""
    if not isinstance(name, str) or name not in class_names:
        there = f"the classes are {listed(class_names)}" if class_names else "there are no classes"
        raise InputError(f"{said} {shown(name)}, but {there}")
    return name


def check_colour_by(colour_by: Any) -> ColourBy:
    """What gets a colour of its own."""
    if colour_by not in get_args(ColourBy):
        raise InputError(f"colour_by is {shown(colour_by)}; give 'class' or 'instance'")
    choice: ColourBy = colour_by
    return choice


def check_category_ids(ids: Any, classes: int) -> Sequence[int]:
    """Category ids by label; None stands for 1, 2, ..."""
    if ids is None:
        return range(1, classes + 1)
    try:
        listed = list(ids)
    except TypeError:
        listed = [None]
    if not all(is_id(each) for each in listed) or len(listed) != classes:
        raise InputError(
            f"category_ids is {shown(ids)}; give one integer for each of the {classes} classes"
        )
    return [int(each) for each in listed]


def usable_device(device: Any) -> torch.device:
    """The device of that name; for None the GPU where there is one."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.empty(0, device=device).device
    except Exception:  # an unknown name, no driver, too high a number, another type
        found = None
    if found is None or found.type == "meta":
        raise InputError(f"device {shown(device)} does not exist here; give cpu, cuda or cuda:0")
    return found


def shown(value: Any) -> str:
    """A value on one line of a message."""
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    text = " ".join(repr(value)[:80].split())
    return text.encode(errors="backslashreplace").decode()
