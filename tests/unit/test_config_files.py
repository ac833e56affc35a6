"""Settings files: bounded in time and memory, and a sentence that names the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from no_time_to_train.api import FewShotSegmenter
from no_time_to_train.config_files import load_config, read_config
from no_time_to_train.errors import InputError

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n"
    for before, name in zip("abcdefghijklmnop", "bcdefghijklmnopq", strict=True)
)
WRONG = {
    "aliases": (LAUGHS.encode(), "stand for more than 100000 values"),
    "contains itself": (b"a: &a [*a]", "the value in line 1 contains itself"),
    "its own key": (b"&a {b: *a}", "contains itself"),
    "whole file": (b"&a [*a]", "contains itself"),
    "Latin-1": ("# caf\xe9".encode("latin-1"), r"no text in UTF-8 \(byte 6 is 0xe9\)"),
    "UTF-16": ("a: 1".encode("utf-16"), "no text in UTF-8"),
    "number as key": (b"a:\n  1: 2", "the key 1 in line 2 is a number"),
    "truth as key": (b"yes: 2", "the key yes in line 1 is true or false"),
    "null as key": (b"~: 2", "the key ~ in line 1 is null"),
    "list as key": (b"? [a]\n: 2", "the key in line 1 is no text"),
    "deep": (b"a: " + b"[" * 3000 + b"]" * 3000, "nest"),
    "less deep": (b"a: " + b"[" * 500 + b"]" * 500, "nest more than 100 deep"),
    "digits": (b"a: " + b"9" * 5000, "no valid YAML"),
    "NUL": (b"a: \0", "no valid YAML"),
    "object": (b"a: !!python/object/apply:os.system ['touch executed']", "no valid YAML"),
    "cut off": (b"a: [", "no valid YAML"),
    "two documents": (b"a: 1\n---\na: 2", "no valid YAML"),
    "large": (b"#" * 1_000_001, "has 1000001 bytes"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=list(WRONG))
def test_read_config__says_in_one_line_what_is_wrong(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_bytes(content)
    for reading in (read_config, FewShotSegmenter.from_config):
        with pytest.raises(InputError, match=message) as caught:
            reading(path)
        assert str(caught.value).startswith(f"{path} ")
        assert "\n" not in str(caught.value)


def test_read_config__refuses_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(InputError, match="is a named pipe"):
        read_config(tmp_path / "pipe.yaml")
    with pytest.raises(InputError, match=r"nowhere\.yaml cannot be read \(No such file"):
        read_config(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("content", ["", "# nothing yet\n", "null\n", "---\n"])
def test_load_config__takes_an_empty_file_for_no_settings(tmp_path: Path, content: str) -> None:
    (tmp_path / "empty.yaml").write_text(content)
    assert load_config(tmp_path / "empty.yaml") == {}


def test_load_config__refuses_settings_without_names(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(InputError, match="must hold settings by name"):
        load_config(tmp_path / "list.yaml")


def test_load_config__allows_aliases_that_are_used_a_few_times(tmp_path: Path) -> None:
    (tmp_path / "few.yaml").write_text("a: &a {b: [1, 2]}\nc: *a\nd:\n  <<: *a\n  e: 3\n")
    both = {"b": [1, 2]}
    assert load_config(tmp_path / "few.yaml") == {"a": both, "c": both, "d": {**both, "e": 3}}
