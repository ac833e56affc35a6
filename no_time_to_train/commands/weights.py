"""`weights`: lists the published weights, and downloads those that are named."""

from __future__ import annotations

import difflib
import logging
from pathlib import Path

from no_time_to_train.commands.command_parser import CommandParser
from no_time_to_train.commands.downloads import download, remote_size
from no_time_to_train.commands.progress import megabytes
from no_time_to_train.commands.published_weights import Weights, published_weights
from no_time_to_train.errors import InputError

logger = logging.getLogger(__name__)


def main(arguments: list[str]) -> None:
    """List weights, or download some.

    Args:
        arguments: As typed after the name of the command.

    Raises:
        InputError: There is no such preset, or it cannot be downloaded.
    """
    options = _build_parser().parse_args(arguments)
    known = published_weights()
    for name in options.names:
        if name not in known:
            raise InputError(_unknown(name, list(known)))
    if options.url is not None:
        _check_address(options.url, options.names)
    if not options.names:
        _list(known, options.sizes)
    for name in options.names:
        _get(name, known[name].path, options.url or known[name].url)


def _build_parser() -> CommandParser:
    parser = CommandParser(
        "weights",
        "Files go where the configs expect them, below ./checkpoints. A download that was "
        "stopped goes on where it was; a file that is there is left as it is.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="Preset; without any, list them.")
    parser.add_argument(
        "--from", dest="url", metavar="URL", help="Another address for the one that is named."
    )
    parser.add_argument(
        "--sizes", action="store_true", help="Ask the server for the sizes in the list."
    )
    return parser


def _unknown(name: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    repair = f"did you mean {nearest[0]}?" if nearest else "`weights` lists those that there are"
    return f"there are no published weights {name[:60]!r}; {repair}"


def _check_address(url: str, names: list[str]) -> None:
    if len(names) != 1:
        raise InputError(f"--from {url} is for one file, got {len(names)} names; give one name")
    if not url.startswith(("http://", "https://")):
        raise InputError(f"--from {url!r} is no address; give one that begins with https://")


def _list(known: dict[str, Weights], ask_sizes: bool) -> None:
    width, path_width = (max(map(len, column)) for column in (known, _paths(known)))
    for name, (path, url) in known.items():
        state = _state(path, url, ask_sizes)
        logger.info("%-*s  %-*s  %-24s  %s", width, name, path_width, path, state, url)


def _paths(known: dict[str, Weights]) -> list[str]:
    return [str(weights.path) for weights in known.values()]


def _state(path: Path, url: str, ask_size: bool) -> str:
    part = path.with_name(f"{path.name}.part")
    if path.exists():
        return f"there, {megabytes(path.stat().st_size)}"
    size = remote_size(url) if ask_size else None
    of = "" if size is None else f" of {megabytes(size)}"
    if part.exists():
        return f"partly, {megabytes(part.stat().st_size)}{of}"
    return "not there" if size is None else f"not there, {megabytes(size)}"


def _get(name: str, path: Path, url: str) -> None:
    if path.exists():
        logger.info("%s: %s is there already", name, path)
        return
    logger.info("%s: %s from %s", name, path, url)
    download(url, path)
    logger.info("%s: %s is complete (%s)", name, path, megabytes(path.stat().st_size))
