"""Pictures in the folders of a data set: linked, or copied where there can be no links."""

from __future__ import annotations

import shutil
from pathlib import Path

from no_time_to_train.errors import InputError
from no_time_to_train.files import atomic_write, link


def provide_picture(source: Path, target: Path) -> None:
    """Have a picture at another place, by a relative link; a file that is there stays.

    Args:
        source: The picture.
        target: Where it is to be found; folders are made as needed.

    Raises:
        InputError: The link cannot be made, and the picture cannot be copied.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write {target} ({error.strerror}); choose another place"
        ) from None
    if not link(source, target):
        with atomic_write(target, "wb", is_result=False) as file, source.open("rb") as content:
            shutil.copyfileobj(content, file)
