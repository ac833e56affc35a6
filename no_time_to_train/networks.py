"""What building any network shares: errors about its weights, and how it computes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from no_time_to_train.config import ComputeConfig
from no_time_to_train.errors import InputError

logger = logging.getLogger(__name__)

REPAIR = "get the file again from where its publisher offers it"

DTYPES = {
    "float32": torch.float32,
    "tf32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class WeightsError(InputError):
    """A checkpoint that a network cannot take."""


@contextmanager
def weights_errors() -> Iterator[None]:
    """Tell the user what is wrong with the weights, whoever found it."""
    try:
        yield
    except (FileNotFoundError, ValueError) as error:  # an InputError is a ValueError
        raise WeightsError(str(error)) from error


def set_compute(
    compute: ComputeConfig, network: nn.Module, compile_parts: Callable[[], None]
) -> None:
    """Let a network compute in another number format, or compiled; in place.

    Args:
        compute: The settings; tf32 holds for the whole process.
        network: With its weights loaded.
        compile_parts: Marks what of it is worth compiling, which happens when it first runs.
    """
    network.to(DTYPES[compute.precision])
    if compute.precision == "tf32":
        torch.set_float32_matmul_precision("high")
    if compute.compile:
        logger.info(
            "%s will be compiled, for which the first picture waits up to a minute",
            type(network).__name__,
        )
        compile_parts()
