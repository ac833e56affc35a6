"""The page to try it on: a real server, driven as a person does."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Page

from no_time_to_train.api import FewShotSegmenter
from tests.browser.conftest import overflow

ROOT = Path(__file__).resolve().parents[2]
SCENES = ROOT / "scenes/images"
REFERENCE = SCENES / "reference_00.jpg"
TARGETS = [SCENES / "target_64.jpg", SCENES / "target_52.jpg"]
FEW_POINTS = "model: {init_args: {model_cfg: {sam2_infer_cfgs: {points_per_side: 8}}}}\n"
CLICK = (135, 130)
BOX = (81, 82, 189, 177)
MEMORY_BUTTON = "Download the examples as a memory (.pth)"
MASKS_BUTTON = "Download masks, results.json and instances.csv (.zip)"
ENLARGED = 3
"""Pictures of 256 pixels are shown at three times their size."""
SERVE = """
import sys, tempfile
from no_time_to_train.__main__ import main

def note(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        address = arguments[1] if event == "socket.connect" else arguments
        if str(address[0]) not in ("127.0.0.1", "localhost"):
            open("connections", "a").write(f"{event} {address}\\n")

sys.addaudithook(note)
tempfile.tempdir = None  # it was found before this process had its environment
main()
"""


@dataclass(frozen=True)
class Server:
    """A running `app`."""

    process: subprocess.Popen[str]
    address: str
    folder: Path
    """Holds settings, what it asked of other machines, and its temporary files."""

    @property
    def temporary(self) -> list[str]:
        """What it keeps for browsers."""
        return [path.name for path in (self.folder / "temporary").iterdir()]


class Visit:
    """What a person does on the page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, name: str) -> None:
        """Press a button."""
        self.page.get_by_role("button", name=name, exact=True).click()

    def upload(self, field: str, *paths: Path) -> None:
        """Choose files."""
        field = f"{field} input[type=file]"
        self.page.locator(field).set_input_files([str(path) for path in paths])

    def click(self, x: int, y: int) -> None:
        """Click on a pixel of the picture that is being marked, and wait for what that changes."""
        image = self.page.locator("#picture img")
        source, box = image.get_attribute("src"), image.bounding_box()
        assert box is not None
        side = min(box["width"], box["height"])  # a square in the middle of the element
        left, top = (box["width"] - side) / 2, (box["height"] - side) / 2
        scale = side / 256
        image.click(position={"x": left + (x + 0.5) * scale, "y": top + (y + 0.5) * scale})
        self._await_picture(source)

    def open_picture(self) -> None:
        """Take the picture with the star."""
        self.upload("#picture", REFERENCE)
        self._await_picture(None)

    def _await_picture(self, before: str | None) -> None:
        """Wait for another picture than before, loaded, as the server sends it."""
        self.page.wait_for_function(
            """([before, width]) => {
                const picture = document.querySelector('#picture img');
                return picture && picture.src != before && picture.complete
                    && picture.naturalWidth == width;
            }""",
            arg=[before, 256 * ENLARGED],
        )

    def add_star(self) -> None:
        """Mark the star with a click and a box, and add it."""
        self.open_picture()
        self.click(*CLICK)
        self.page.get_by_label("two corners of a box").check()
        self.click(*BOX[:2])
        self.click(*BOX[2:])
        self.page.get_by_label("Name of the object").fill("star")
        self.press("Add this example")
        self.page.locator("#examples img").wait_for()

    def search(self, readable: int, *paths: Path, field: str = "#files") -> None:
        """Search pictures, so many of which can be read."""
        self.upload(field, *paths)
        self.page.locator(field).get_by_text("KB").nth(readable - 1).wait_for()
        self.press("Search")
        self.page.locator("#found img").nth(readable - 1).wait_for()

    def download(self, button: str) -> bytes:
        """The file that a button gives."""
        with self.page.expect_download() as download:
            self.press(button)
        return Path(download.value.path()).read_bytes()


@pytest.fixture(scope="module")
def server(warm_python: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("app")
    (folder / "temporary").mkdir()
    (folder / "few.yaml").write_text(FEW_POINTS)
    (folder / "demo_models").symlink_to(ROOT / "demo_models")
    configs = ("--config", str(ROOT / "configs/demo.yaml"), "--config", "few.yaml")
    process = subprocess.Popen(
        [warm_python, "-c", SERVE, "app", *configs, "--port", "0"],
        cwd=folder,
        env=os.environ | {"TMPDIR": str(folder / "temporary")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"The page is at (http://127\.0\.0\.1:\d+); Ctrl-C ends it\.\n", line)
    assert found, line + process.communicate()[1]
    yield Server(process, found[1], folder)
    process.kill()
    process.communicate()


@pytest.fixture
def visit(page: Page, server: Server) -> Visit:
    """The page, opened."""
    visit = Visit(page)
    page.goto(server.address)
    page.get_by_text("No class yet.").wait_for()
    return visit


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the server has, for the same sums."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def by_python(folder: Path, memory: Path) -> FewShotSegmenter:
    """The example of `add_star`, through the Python API."""
    segmenter = FewShotSegmenter.from_config(ROOT / "configs/demo.yaml", folder / "few.yaml")
    mask = segmenter.draw_mask(REFERENCE, points=[CLICK], point_labels=[1], box=BOX)
    segmenter.remember(REFERENCE, mask, "star")
    segmenter.finalise()
    loaded = segmenter.fresh()
    loaded.load(memory)
    assert loaded.class_names == ["star"]
    return loaded


def test_app__finds_what_the_python_api_finds_for_the_same_clicks(
    visit: Visit, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(TARGETS[0].read_bytes()[:2000])
    visit.add_star()
    visit.search(2, *TARGETS, broken)
    summary = visit.page.locator("#summary")
    assert "Left out: broken.jpg cannot be decoded" in summary.inner_text()
    (tmp_path / "memory.pth").write_bytes(visit.download(MEMORY_BUTTON))
    visit.page.locator("input[type=range]").fill("0.4")
    visit.page.locator("input[type=range]").dispatch_event("pointerup")
    summary.get_by_text("with a score of 0.40 or more").wait_for()
    archive = zipfile.ZipFile(io.BytesIO(visit.download(MASKS_BUTTON)))

    monkeypatch.chdir(server.folder)
    segmenter = by_python(server.folder, tmp_path / "memory.pth")
    table = pd.read_csv(archive.open("instances.csv"))
    assert set(table["class"]) == {"star"}
    results = json.load(archive.open("results.json"))
    assert len(results["annotations"]) == len(table)
    for path in TARGETS:
        expected = segmenter.segment(path)
        scores = expected.scores[expected.scores >= 0.4]
        rows = table[table["picture"] == path.name]
        np.testing.assert_allclose(rows["score"], scores, atol=1e-5)
        numbers = np.asarray(Image.open(archive.open(f"masks/{path.stem}.png")))
        wanted = np.zeros((256, 256), np.uint16)
        for number in range(len(scores), 0, -1):
            wanted[np.asarray(expected.masks[number - 1])] = number
        assert numbers.max() > 0
        np.testing.assert_array_equal(numbers, wanted)


def test_app__searches_a_folder_and_fits_a_phone(visit: Visit, tmp_path: Path) -> None:
    for path in TARGETS:
        shutil.copy(path, tmp_path)
    (tmp_path / "notes.txt").write_text("no picture, and no word of it")
    visit.page.set_viewport_size({"width": 420, "height": 900})
    visit.add_star()
    visit.search(2, tmp_path, field="#folder")
    assert "Left out" not in visit.page.locator("#summary").inner_text()
    assert overflow(visit.page) <= 0
    visit.page.get_by_role("button", name=MASKS_BUTTON).wait_for()
    assert visit.page.locator("#instances").is_visible()


def test_app__tabs_do_not_see_each_other_and_examples_go(visit: Visit, browser: Browser) -> None:
    visit.add_star()
    other = browser.new_page()
    other.goto(visit.page.url)
    other.get_by_text("No class yet.").wait_for()
    assert other.locator("#examples img").count() == 0
    other.close()
    visit.page.locator("#examples img").click()
    visit.press("Remove the chosen example")
    visit.page.get_by_text("No class yet.").wait_for()


def test_app__says_what_is_missing(visit: Visit, tmp_path: Path) -> None:
    visit.press("Add this example")
    visit.page.get_by_text("there is no picture to mark an object in").wait_for()
    visit.open_picture()
    visit.press("Add this example")
    visit.page.get_by_text("nothing is marked yet").wait_for()
    visit.press("Search")
    visit.page.get_by_text("there is no picture to search").wait_for()
    text = tmp_path / "text.png"
    text.write_text("no picture")
    visit.page.locator("#picture").get_by_label("Remove Image").click()
    visit.upload("#picture", text)
    visit.page.get_by_text("text.png is no image in a known format").first.wait_for()
    visit.page.locator("#picture").get_by_text("Drop Image Here").wait_for()  # it does not stay


def test_app__ends_by_a_signal_in_one_line_and_leaves_nothing(server: Server) -> None:
    """The last one here: all others need the server."""
    assert len(server.temporary) == 1
    server.process.send_signal(signal.SIGINT)
    out, err = server.process.communicate(timeout=20)
    assert server.process.returncode == 130
    assert err.splitlines() == ["error: stopped by SIGINT; nothing was written"]
    assert out == ""
    assert server.temporary == []
    assert not (server.folder / "connections").exists()
