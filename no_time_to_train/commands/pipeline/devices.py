"""On what the stages run: flags of the trainer, and the name that torch has for the first one."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Devices:
    """The devices of a sweep."""

    all: tuple[str, ...]
    """Flags of a stage that uses every device."""
    one: tuple[str, ...]
    """Flags of a stage that one process runs."""
    torch_name: str
    """Of the first one."""


def parse_devices(text: str) -> Devices:
    """An argparse type: a number of GPUs, their numbers, or `cpu`.

    Lightning takes a bare 1 as "one GPU", and [1] as "GPU number 1".
    """
    numbers = re.fullmatch(r"\[(\d+(?:,\d+)*)\]|(\d+(?:,\d+)*,)|(\d+(?:,\d+)+)", text)
    if text == "cpu":
        on_cpu = ("--trainer.accelerator", "cpu", "--trainer.devices", "1")
        return Devices(on_cpu, on_cpu, "cpu")
    if numbers:
        listed = next(filter(None, numbers.groups())).rstrip(",")
        first = listed.partition(",")[0]
        several, one = (("--trainer.devices", f"[{each}]") for each in (listed, first))
        return Devices(several, one, f"cuda:{first}")
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"must be a number of GPUs such as 4, numbers of GPUs such as 0,1 or [3], or cpu, got "
            f"{text[:40]!r}"
        )
    return Devices(("--trainer.devices", text), ("--trainer.devices", "1"), "cuda")
