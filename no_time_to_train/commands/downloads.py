"""Checkpoints from the web: resumed where an earlier run was stopped, whole when they appear.

What has arrived is kept beside the target, as NAME.part; NAME.part.source says what file it is a
part of. It is continued only from the same address, and only while the server has the same file
there (If-Range and Content-Range of RFC 9110).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from io import FileIO
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from no_time_to_train import termination
from no_time_to_train.commands.progress import Progress, megabytes
from no_time_to_train.errors import InputError
from no_time_to_train.output_checks import check_writable

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""
CHUNK_BYTES = 2**20
CHECKPOINT_STARTS = (b"PK\x03\x04", b"\x80\x02")
"""Of the files that torch.save writes, today and before PyTorch 1.6."""
NOTHING_LEFT = 416
"""HTTP status: there is nothing behind what has arrived."""


class Source(NamedTuple):
    """The file on the server that a partial file belongs to."""

    url: str
    validator: str | None
    """ETag or Last-Modified, whatever the server gives to tell versions apart."""
    size: int | None
    """In bytes; None where the server does not say."""


def download(url: str, path: Path) -> None:
    """Download a checkpoint, or what is missing of it.

    Args:
        url: Its address, http or https.
        path: Where it goes; folders are made as needed.

    Raises:
        InputError: There is no network, no such file or no room, the connection broke off, or what
            came is no checkpoint. A partial file is kept for the next run.
    """
    part = path.with_name(f"{path.name}.part")
    for each in (path, part):
        check_writable(each, "the file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileIO(part, "ab") as file:
            _lock(file, path)
            _receive(url, file, path)
            os.fsync(file.fileno())
            _check_start(part, url)
            termination.replace(part, path, name=path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror}); make room or choose another place, then "
            "run this again to go on with what has arrived"
        ) from error
    _source_path(path).unlink(missing_ok=True)


def remote_size(url: str) -> int | None:
    """Bytes of the file at an address, as its server says; None where it does not.

    Raises:
        InputError: The server cannot be reached, or has no such file.
    """
    with _open(Request(url, method="HEAD")) as response:
        return _content_length(response)


def _lock(file: FileIO, path: Path) -> None:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(f"{path} is being downloaded by another command; wait for it") from None
    except OSError:  # a file system without locks
        return


def _receive(url: str, file: FileIO, path: Path) -> None:
    """Append what is missing."""
    start = os.fstat(file.fileno()).st_size
    known = _read_source(path)
    response = _resume(start, known) if start and known and known.url == url else None
    if response is None:
        start, response = 0, _open(_request(url))
    with response:
        length = _content_length(response)
        size = None if length is None else start + length
        _check_room(path, length)
        file.truncate(start)
        _source_path(path).write_text(json.dumps([url, _validator(response), size]))
        _copy(response, file, Progress(path.name, start, size), url)


def _resume(start: int, known: Source) -> HTTPResponse | None:
    """Ask for the rest; None where the server does not give it, or has another file by now."""
    headers = {"Range": f"bytes={start}-"}
    if known.validator:
        headers["If-Range"] = known.validator
    try:
        response = _open(_request(known.url, headers))
    except InputError as error:
        if isinstance(error.__cause__, HTTPError) and error.__cause__.code == NOTHING_LEFT:
            return None
        raise
    rest = f"bytes {start}-{(known.size or 0) - 1}/{known.size}"
    if response.status == 206 and response.headers.get("Content-Range") == rest:
        return response
    response.close()
    return None


def _request(url: str, headers: Mapping[str, str] | None = None) -> Request:
    return Request(url, headers={"Accept-Encoding": "identity", **(headers or {})})


def _open(request: Request) -> HTTPResponse:
    url = request.full_url
    try:
        response: HTTPResponse = urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        raise InputError(
            f"{url}: the server answers {error.code} ({error.reason}); check the address, or give "
            "another one with --from"
        ) from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise InputError(
            f"{url} cannot be reached ({reason}); check the network, or give another address with "
            "--from"
        ) from error
    return response


def _copy(response: HTTPResponse, file: FileIO, progress: Progress, url: str) -> None:
    reason = "the server sent no more"
    while progress.done != progress.size:
        try:
            chunk = response.read1(CHUNK_BYTES)
        except (OSError, HTTPException) as error:
            reason, chunk = str(error) or type(error).__name__, None
        if not chunk:
            break
        remaining = memoryview(chunk)
        while remaining:
            remaining = remaining[file.write(remaining) :]
        progress.add(len(chunk))
    progress.finish()
    if chunk is None or progress.size not in (None, progress.done):
        of = "" if progress.size is None else f" of {megabytes(progress.size)}"
        raise InputError(
            f"{url} broke off after {megabytes(progress.done)}{of} ({reason}); run this again to "
            "go on from there"
        )


def _content_length(response: HTTPResponse) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _validator(response: HTTPResponse) -> str | None:
    """What If-Range takes: a weak ETag does not tell whether bytes are the same."""
    tag = response.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")


def _source_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.part.source")


def _read_source(path: Path) -> Source | None:
    try:
        return Source(*json.loads(_source_path(path).read_text()))
    except (OSError, ValueError, TypeError):  # not there, or cut off
        return None


def _check_room(path: Path, needed: int | None) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed is not None and needed > free:
        raise InputError(
            f"{path} needs {megabytes(needed)} more, and {megabytes(free)} are free there; make "
            "room, or put a link to another disk there"
        )


def _check_start(part: Path, url: str) -> None:
    """Refuse what was sent instead, such as a page to log in on."""
    with part.open("rb") as file:
        start = file.read(16)
    if not start.startswith(CHECKPOINT_STARTS):
        part.unlink()
        raise InputError(
            f"{url} is no PyTorch checkpoint (it begins with {start!r}); check the address"
        )
