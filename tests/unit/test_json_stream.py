"""A json object read entry by entry is what json reads whole, wherever the chunks end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from no_time_to_train.errors import InputError
from no_time_to_train.reports import json_stream
from no_time_to_train.reports.json_stream import stream_object

CONTENT = {
    "info": {"a": [1, {"b": ']},\\"'}]},
    "empty": [],
    "numbers": [1, 23, -4.5e3, 678],
    "number": 90210,
    "names": ["ä\\", "[,]", ""],
    "nested": [[1, 2], [], {"c": None}],
    "last": True,
}


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("indent", [None, 1])
def test_stream__gives_what_json_gives(
    chunk: int, indent: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "CHUNK", chunk)
    path = tmp_path / "x.json"
    path.write_text(json.dumps(CONTENT, indent=indent, ensure_ascii=False), encoding="utf-8")
    read: dict[str, Any] = {"empty": []}
    for name, value in stream_object(path):
        if isinstance(CONTENT[name], list):
            read.setdefault(name, []).append(value)
        else:
            read[name] = value
    assert read == CONTENT


@pytest.mark.parametrize(
    "text", ["", "[]", '{"a"', '{"a": [1', '{"a": [1 2]}', '{"a": 1', "{1: 2}"]
)
def test_stream__refuses_what_is_no_object(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match="cannot be read as a json object"):
        list(stream_object(path))


def test_stream__of_an_empty_object_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(" { } ")
    assert list(stream_object(path)) == []
