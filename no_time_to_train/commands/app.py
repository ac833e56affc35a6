"""`app`: a page to mark examples and search pictures in a browser."""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import shutil
import sys
from pathlib import Path
from socket import socket

from no_time_to_train.app import server
from no_time_to_train.app.application import PageSettings, build_application, scratch_folder
from no_time_to_train.commands.command_parser import CommandParser, whole_number
from no_time_to_train.commands.network_options import add_network_arguments, network_settings
from no_time_to_train.errors import InputError
from no_time_to_train.settings import Settings

logger = logging.getLogger(__name__)


def main(arguments: list[str]) -> None:
    """Serve the page until the process is ended.

    Args:
        arguments: As typed after the name of the command.

    Raises:
        InputError: A file or preset is not there, the port is taken, or Gradio is missing.
    """
    options = _build_parser().parse_args(arguments)
    _check_gradio()
    settings = _settings(options)
    listener = server.listen(options.host, options.port)
    if not server.is_loopback(listener):
        logger.warning(
            "Whoever reaches port %d of this machine over the network can use the page and read "
            "what is searched with it; without --host only this machine can.",
            listener.getsockname()[1],
        )
    with scratch_folder() as scratch:
        _serve(options, settings, listener, scratch)


def _build_parser() -> CommandParser:
    parser = CommandParser(
        "app",
        "The page is served to this machine alone unless --host says otherwise. What is dropped on "
        "it goes into a temporary folder, which is removed at the end.",
    )
    parser.add_argument(
        "--memory",
        type=Path,
        metavar="FILE",
        help="Begin with the classes of a memory, as `bank`, the page or the Python API wrote it.",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="Address to serve at; 0.0.0.0 is every one of this machine's, for others on the "
        "network (%(default)s).",
    )
    parser.add_argument(
        "--port",
        type=port_number,
        metavar="NUMBER",
        help=f"By default the first free one from {server.FIRST_PORT} on.",
    )
    parser.add_argument(
        "--browser",
        action=argparse.BooleanOptionalAction,
        default=_has_desktop(),
        help="Open the page in a browser; by default where a desktop is there to show it.",
    )
    add_network_arguments(parser)
    return parser


def port_number(text: str) -> int:
    """An argparse type: a port, or 0 for any free one."""
    number = whole_number(text)
    if number > server.LAST_PORT:
        raise argparse.ArgumentTypeError(f"must be {server.LAST_PORT} at most, got {text[:40]!r}")
    return number


def _has_desktop() -> bool:
    if not sys.stdout.isatty():
        return False
    on_desktop = {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)
    return sys.platform in ("darwin", "win32") or bool(on_desktop)


def _check_gradio() -> None:
    if importlib.util.find_spec("gradio") is None:
        raise InputError(
            'app needs Gradio, which is not installed; install it with `pip install -e ".[app]"`'
        )


def _settings(options: argparse.Namespace) -> Settings:
    if options.memory is None:
        return network_settings(options)
    from no_time_to_train.memory.description import describe_memory

    memory = describe_memory(options.memory)
    return network_settings(options, memory.encoder)


def _serve(
    options: argparse.Namespace, settings: Settings, listener: socket, scratch: Path
) -> None:
    from no_time_to_train.api import FewShotSegmenter

    memory = options.memory
    if memory is not None:  # as it is now, for all sessions to come
        memory = Path(shutil.copy(memory, scratch))
    networks = FewShotSegmenter.from_settings(
        settings.model, settings.datasets, settings.loading, settings.image_size, settings.device
    )
    if memory is not None:
        networks.fresh().load(memory)
    page = PageSettings(
        memory,
        settings.model.test.vis_thr,
        settings.datasets.fill_memory.orientation == "stored",
        server.is_loopback(listener),
    )
    server.serve(build_application(networks, page, scratch), listener, options.browser)
