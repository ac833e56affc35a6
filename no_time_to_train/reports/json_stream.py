"""Read a large json object entry by entry: of its lists, one element at a time is held."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from no_time_to_train.errors import InputError
from no_time_to_train.files import check_regular_file

CHUNK = 1 << 20
"""Characters read at a time."""
SPACE = " \t\r\n"
AFTER_VALUE = SPACE + ",:]}"


def stream_object(path: Path) -> Iterator[tuple[str, Any]]:
    """Go through a json file that holds an object.

    Args:
        path: Of the json.

    Yields:
        Name and value; for a value that is a list, the name with each of its elements.

    Raises:
        InputError: It is missing, or no json object.
    """
    check_regular_file(path, "the json file")
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from _Reader(file).entries()
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path} cannot be read as a json object ({reason})") from None


class _Reader:
    """A position in a text of which a part is in memory."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._text, self._at, self._ended = file, "", 0, False
        self._decoder = json.JSONDecoder()

    def entries(self) -> Iterator[tuple[str, Any]]:
        self._expect("{")
        if self._next() == "}":
            return
        while True:
            name = self._value()
            if not isinstance(name, str):
                raise ValueError("a name is no text")
            self._expect(":")
            if self._next() == "[":
                yield from ((name, element) for element in self._elements())
            else:
                yield name, self._value()
            if self._next() != ",":
                break
            self._at += 1
        self._expect("}")

    def _elements(self) -> Iterator[Any]:
        self._expect("[")
        while self._next() != "]":
            yield self._value()
            if self._next() == ",":
                self._at += 1
            elif self._next() != "]":
                raise ValueError("a list is not closed")
        self._at += 1

    def _value(self) -> Any:
        self._next()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if not self._more():
                    raise
                continue
            # A number that ends where the text in memory does, or before a part of it, may go on.
            follows = self._text[end : end + 1]
            if (follows and follows in AFTER_VALUE) or not self._more():
                self._at = end
                return value

    def _expect(self, character: str) -> None:
        if self._next() != character:
            raise ValueError(f"{character} is missing")
        self._at += 1

    def _next(self) -> str:
        """The next character that is no space, without taking it; none at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in SPACE:
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _more(self) -> bool:
        """Read on, by as much as is held, so that a long value is not read over and over."""
        if self._ended:
            return False
        kept = self._text[self._at :]
        added = self._file.read(max(CHUNK, len(kept)))
        self._text, self._at, self._ended = kept + added, 0, not added
        return bool(added)
