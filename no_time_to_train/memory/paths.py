"""Where a memory is stored; checked without PyTorch."""

from __future__ import annotations

import os
from pathlib import Path

from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file


def check_memory_path(path: str | Path) -> None:
    """Look for the file of a memory.

    Args:
        path: As the user gave it.

    Raises:
        InputError: It is an address, or there is no such file.
    """
    if "://" in str(path):
        raise InputError(f"{path} is an address; download it and pass the file")
    check_regular_file(path, "the memory")
    if not os.path.isfile(path):
        raise InputError(
            f"the memory {path} does not exist; fill_memory and postprocess_memory write one, and "
            "save() in Python"
        )
