"""What happens when somebody clicks on the page: from Gradio's values to a session, and back."""

from __future__ import annotations

import functools
import html
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import gradio as gr

from no_time_to_train.api import FewShotSegmenter
from no_time_to_train.app.found import Found, counted
from no_time_to_train.app.marking import Mode
from no_time_to_train.app.session import Session
from no_time_to_train.dataset.picture_folders import SUFFIXES
from no_time_to_train.errors import InputError, listed
from no_time_to_train.exports.instances_csv import Row
from no_time_to_train.visualization.predictions import RgbImage

logger = logging.getLogger(__name__)

HEADER = ["picture", "instance", "class", "score", "x", "y", "width", "height", "area"]
"""Of the table of instances, whose rows are those of `instances.csv`."""
NOTE_SECONDS = 15.0
"""How long a message stays."""

Handler = Callable[..., Any]
Thumbnails = list[tuple[RgbImage, str]]
Examples = tuple[Any, Thumbnails, str]
"""The block that they are in, their pictures and the names of their classes."""
Results = tuple[str, Any, Any, Any]
"""Summary, the block of the rest, its pictures and its table."""


def told(handler: Handler) -> Handler:
    """Show what an InputError says, and leave the page as it was; of others, the terminal tells."""
    return _guarded(handler, _warn)


def told_as_failure(handler: Handler) -> Handler:
    """The same of a handler whose failure keeps the next one from running."""
    return _guarded(handler, _fail)


def _guarded(handler: Handler, tell: Callable[[str], Any]) -> Handler:
    @functools.wraps(handler)
    def guarded(*arguments: Any, **options: Any) -> Any:
        try:
            if arguments and arguments[0] is None:
                raise InputError("the page is still loading; do this again in a second")
            return handler(*arguments, **options)
        except InputError as error:
            return tell(str(error))
        except Exception:
            logger.exception("The page could not do this:")
            return _fail("this failed for a reason that the page does not know; see the terminal")

    return guarded


def _warn(sentence: str) -> Any:
    gr.Warning(html.escape(sentence, quote=False), duration=NOTE_SECONDS)
    return gr.skip()


def _fail(sentence: str) -> Any:
    text = html.escape(sentence, quote=False)
    raise gr.Error(text, duration=NOTE_SECONDS, print_exception=False)


@dataclass(frozen=True)
class Handlers:
    """The functions that the page calls; each has the session of its tab first."""

    networks: FewShotSegmenter
    folder: Path
    """For what sessions write."""
    memory: Path | None
    """That sessions begin with."""
    as_stored: bool
    """Whether the EXIF orientation of pictures with examples does not count."""

    def begin(self) -> tuple[Session, str]:
        """A tab was opened."""
        folder = Path(mkdtemp(dir=self.folder))
        session = Session(self.networks, folder, self.memory, self.as_stored)
        return session, classes_text(session)

    def end(self, session: Session | None) -> None:
        """A tab was closed."""
        if session is not None:
            shutil.rmtree(session.folder, ignore_errors=True)

    def open(self, session: Session, path: str) -> RgbImage | None:
        """A picture was dropped; one that cannot be read does not stay."""
        try:
            return session.open(Path(path))
        except InputError as error:
            session.close()
            _warn(str(error))
            return None

    def close(self, session: Session) -> None:
        """The picture was put away."""
        session.close()

    def click(self, session: Session, mode: str, event: gr.SelectData) -> RgbImage:
        """There was a click in the picture."""
        x, y = event.index
        return session.click((float(x), float(y)), Mode(mode))

    def undo(self, session: Session) -> RgbImage | None:
        """The last click is taken back."""
        return session.undo() if session.picture else None

    def unmark(self, session: Session) -> RgbImage | None:
        """All clicks are taken back."""
        return session.unmark() if session.picture else None

    def add(self, session: Session, name: str) -> tuple[RgbImage, Any, Thumbnails, str]:
        """What is marked becomes an example."""
        session.add(name)
        return session.shown(), *examples(session)

    def remove(self, session: Session, chosen: int | None) -> tuple[None, Any, Thumbnails, str]:
        """The example that was chosen goes."""
        if chosen is None or chosen >= len(session.examples):
            raise InputError("no example is chosen; click on its picture first")
        session.remove(chosen)
        return None, *examples(session)

    def search(
        self,
        session: Session,
        files: list[str] | None,
        folder: list[str] | None,
        threshold: float,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  Gradio looks for it here
    ) -> Results:
        """The pictures are searched."""
        in_folder = [path for path in folder or () if Path(path).suffix.lower() in SUFFIXES]
        paths = [Path(path) for path in (*(files or ()), *sorted(in_folder))]
        found = session.search(
            paths, lambda done, of: progress((done, of), desc="Searching", unit="pictures")
        )
        return results(found, threshold)

    def redraw(self, session: Session, threshold: float) -> Any:
        """The threshold was moved."""
        if session.found is None:
            return gr.skip()
        return results(session.found, threshold)

    def masks(self, session: Session, threshold: float) -> str:
        """The masks are to be downloaded."""
        return str(session.save_masks(threshold))

    def memory_file(self, session: Session) -> str:
        """The memory is to be downloaded."""
        return str(session.save_memory())


def examples(session: Session) -> Examples:
    """What is shown of the examples."""
    pictures = [(example.thumbnail, example.name) for example in session.examples]
    return gr.Column(visible=bool(pictures)), pictures, classes_text(session)


def classes_text(session: Session) -> str:
    """Which classes there are, for the page."""
    names = session.class_names
    if not names:
        return "<p>No class yet.</p>"
    classes = counted(len(names), "class").replace("classs", "classes")
    return f"<p>{classes}: {html.escape(listed(names, 20))}</p>"


def results(found: Found, threshold: float) -> Results:
    """What is shown of a search."""
    rows = [_cells(row) for row in found.rows(threshold)]
    summary = f"<p>{html.escape(found.summary(threshold))}</p>"
    if found.skipped:
        summary += f"<p>{html.escape(_skipped_text(found))}</p>"
    block = gr.Column(visible=bool(found.pictures))
    return summary, block, list(found.overlays(threshold)), rows


def _cells(row: Row) -> list[Any]:
    box = (row.x, row.y, row.width, row.height)
    return [row.picture, row.instance, row.label, round(row.score, 3), *box, row.area]


def _skipped_text(found: Found) -> str:
    shown: Sequence[str] = found.skipped[:5]
    more = len(found.skipped) - len(shown)
    rest = f"; and {counted(more, 'more picture')}" if more else ""
    return f"Left out: {'; '.join(shown)}{rest}."
