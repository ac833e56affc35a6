"""Which pictures people mean by folders and files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from no_time_to_train.dataset.images import FORMATS
from no_time_to_train.dataset.picture_folders import SUFFIXES, find_pictures, printable
from no_time_to_train.errors import InputError

OUT = Path("out")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def test_suffixes__are_those_of_formats_that_are_read() -> None:
    from PIL import Image

    known = {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS}
    assert SUFFIXES - {".pnm"} <= known


def test_find_pictures__goes_folder_by_folder_through_all_that_is_below() -> None:
    touch("pics/b.jpg", "pics/a/z.PNG", "pics/c.tif", "pics/a/b/y.webp", "pics/a.jpg")
    found = find_pictures([Path("pics")], OUT)
    assert found.root == Path("pics")
    assert found.names == ["a.jpg", "b.jpg", "c.tif", "a/z.PNG", "a/b/y.webp"]


def test_find_pictures__leaves_alone_what_is_hidden_or_no_picture() -> None:
    touch(
        "pics/a.jpg",
        "pics/.b.jpg",
        "pics/.git/c.jpg",
        "pics/notes.TXT",
        "pics/README",
        "pics/x.txt",
    )
    found = find_pictures([Path("pics")], OUT)
    assert found.names == ["a.jpg"]
    assert found.others == {".txt": 2, "": 1}
    expected = "3 files are left alone, not being pictures by name: 1 without suffix, 2 .txt"
    assert found.describe_others() == expected


def test_find_pictures__follows_links_but_not_round_and_round() -> None:
    touch("pics/a.jpg", "elsewhere/b.jpg")
    Path("pics/more").symlink_to("../elsewhere")
    Path("pics/again").symlink_to(".")
    Path("elsewhere/up").symlink_to("../pics")
    Path("pics/gone.jpg").symlink_to("nothing.jpg")
    found = find_pictures([Path("pics")], OUT)
    assert found.names == ["a.jpg", "gone.jpg", "more/b.jpg"]


def test_find_pictures__does_not_read_its_own_results() -> None:
    touch("pics/a.jpg", "pics/found/overlays/a.jpg")
    assert find_pictures([Path("pics")], Path("pics/found")).names == ["a.jpg"]


def test_find_pictures__takes_named_files_whatever_they_are_called() -> None:
    touch("x/a.data", "x/b/c.jpg", "y/d.jpg")
    found = find_pictures([Path("x/a.data")], OUT)
    assert (found.root, found.names) == (Path("x"), ["a.data"])
    found = find_pictures([Path("x/a.data"), Path("x/b"), Path("y/d.jpg"), Path("x/b/c.jpg")], OUT)
    assert found.root == Path.cwd()
    assert found.names == ["x/a.data", "x/b/c.jpg", "y/d.jpg"]


def test_find_pictures__of_named_files_alone_keeps_their_folder() -> None:
    touch("a.jpg", "b.jpg")
    assert find_pictures([Path("a.jpg"), Path("b.jpg")], OUT).names == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (["nothing"], "--images nothing does not exist"),
        (
            ["texts"],
            "no picture in texts among 1 other files; names of pictures end in one of .bmp",
        ),
    ],
)
def test_find_pictures__says_what_is_missing(sources: list[str], words: str) -> None:
    touch("texts/a.txt")
    with pytest.raises(InputError, match=words):
        find_pictures([Path(source) for source in sources], OUT)


def test_printable__escapes_bytes_that_are_no_utf_8() -> None:
    assert printable(os.fsdecode(b"caf\xe9.jpg")) == "caf\\xe9.jpg"
    assert printable("grün.jpg") == "grün.jpg"
