"""Report pages in a browser: the slider hides instances, and nothing leaves the page."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from no_time_to_train.reports import write_report
from tests.browser.conftest import overflow
from tests.unit.coco_files import annotation
from tests.unit.report_runs import HOSTILE, instance, square, write_predict_run, write_test_run


@pytest.fixture
def predicted(tmp_path: Path) -> Path:
    """Two coins in a.png, the second unsure; nothing in b.png; names that are long, and scripts."""
    found = [instance(1, 1, 0.9), instance(2, 1, 0.55, x=30)]
    names = ["a.png", f"x/{HOSTILE}{'long' * 50}.png"]
    return write_report(
        write_predict_run(tmp_path / "predicted", found, names, [f"{'coin' * 50}{HOSTILE}"])
    )


@pytest.fixture
def tested(tmp_path: Path) -> Path:
    """A bird that was found, and one that was not."""
    truths = [annotation(1, 7, 16), annotation(2, 3, 16)]
    box = {"image_id": 7, "category_id": 16, "bbox": [10, 10, 9, 9], "score": 0.9}
    records = [{**box, "segmentation": square(10)}]
    return write_report(write_test_run(tmp_path / "run", truths, records))


def open_page(page: Page, path: Path) -> list[str]:
    """Open a file; the addresses that are asked for, which grow."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    return asked


def visible(page: Page, selector: str) -> int:
    return page.locator(f"{selector} >> visible=true").count()


def test_slider__hides_instances_below_it(page: Page, predicted: Path) -> None:
    open_page(page, predicted)
    figure = page.locator("figure", has_text="a.png")
    assert visible(page, "path.found") == 2
    assert "Shown: 2 of 2." in figure.inner_text()
    page.get_by_label("Score of at least").fill("0.6")
    assert visible(page, "path.found") == 1
    assert "Shown: 1 of 2." in figure.inner_text()
    page.get_by_label("Score of at least").fill("0.95")
    assert visible(page, "path.found") == visible(page, "text.number") == 0


def test_slider__is_moved_by_keys_and_says_where_it_stands(page: Page, predicted: Path) -> None:
    open_page(page, predicted)
    slider = page.get_by_label("Score of at least")
    slider.focus()
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    assert page.locator("output").inner_text() == "0.56"
    assert visible(page, "path.found") == 1
    page.keyboard.press("End")
    assert visible(page, "path.found") == 0


def test_numbers_and_ground_truth__are_switched(page: Page, tested: Path) -> None:
    open_page(page, tested)
    assert (visible(page, "text.number"), visible(page, "path.truth")) == (1, 0)
    page.get_by_role("checkbox", name="Numbers").uncheck()
    page.get_by_label("Ground truth").check()
    assert (visible(page, "text.number"), visible(page, "path.truth")) == (0, 2)


def test_page__asks_for_nothing_but_itself(page: Page, predicted: Path, tested: Path) -> None:
    for path in {predicted, tested}:
        asked = open_page(page, path)
        page.wait_for_load_state("networkidle")
        assert [each for each in asked if not each.startswith("data:image/")] == [path.as_uri()]


def test_policy__stops_scripts_and_requests_that_are_not_of_the_page(
    page: Page, predicted: Path
) -> None:
    open_page(page, predicted)
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.body.append(script);
        }"""
    )
    assert page.evaluate("window.ran") is None
    assert page.evaluate("fetch('data:text/plain,x').then(() => 'read', () => 'stopped')") == (
        "stopped"
    )


@pytest.mark.parametrize("width", [1280, 420])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page__fits_the_window(
    width: int, scheme: str, page: Page, predicted: Path, tested: Path
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    for path in (predicted, tested):
        open_page(page, path)
        for summary in page.locator("summary").all():
            summary.click()
        assert overflow(page) <= 0


def test_page__without_scripts_shows_what_is_above_the_threshold(
    page: Page, predicted: Path
) -> None:
    context = page.context.browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    plain.goto(predicted.as_uri())
    assert visible(plain, "path.found") == 2
    assert visible(plain, "input") == 0
    context.close()
