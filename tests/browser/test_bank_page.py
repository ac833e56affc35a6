"""The page of `bank show --html` in a browser: every picture is there, at any width."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from no_time_to_train.commands.memory_bank.page import render
from no_time_to_train.memory.checkpoint import write_memory
from no_time_to_train.memory.description import describe_memory
from tests.browser.conftest import overflow
from tests.unit.test_memory_bank import memory_of

HOSTILE = "<img src=x onerror=alert(1)>" + "long" * 40


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    """Two classes with one and six references."""
    memory = memory_of([1, 6])
    memory.class_names = ["arrow", HOSTILE]
    memory.finalise(kmeans_k=2, n_components=2)
    write_memory(tmp_path / "memory.pth", memory)
    path = tmp_path / "page.html"
    path.write_text(render(describe_memory(tmp_path / "memory.pth")), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [1280, 420])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page__shows_every_picture_within_the_window(
    page: Page, shown: Path, width: int, scheme: str
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(shown.as_uri())
    assert overflow(page) <= 0
    assert page.get_by_role("heading", level=2).all_inner_texts() == ["arrow", HOSTILE]
    sizes = page.evaluate("[...document.images].map(each => each.naturalWidth)")
    assert sizes == [6] * 7
    text, backdrop = (
        page.evaluate(f"getComputedStyle(document.body).{name}")
        for name in ("color", "backgroundColor")
    )
    assert (brightness(text) > brightness(backdrop)) == (scheme == "dark")


def brightness(colour: str) -> int:
    """Sum of the channels of a colour such as rgb(1, 2, 3)."""
    return sum(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))


def test_page__darkens_what_a_mask_leaves_out(page: Page, shown: Path) -> None:
    page.goto(shown.as_uri())
    marked, other = page.evaluate(
        """() => {
            const canvas = document.createElement("canvas").getContext("2d");
            canvas.drawImage(document.images[0], 0, 0);
            return [0, 5].map(x => canvas.getImageData(x, 3, 1, 1).data[2]);
        }"""
    )  # blue of the masked left half, and of the right one
    assert abs(marked - 200) < 25 and abs(other - 0.35 * 200) < 25
