"""The browser that the other tests here look at pages with, and what they notice."""

from __future__ import annotations

from playwright.sync_api import Browser, Page

from tests.browser.conftest import overflow, requests_elsewhere, script_errors


def test_page__runs_scripts_and_is_as_wide_as_asked(page: Page) -> None:
    page.set_content("<script>document.title = 6 * 7</script><div style='width: 1300px'>x</div>")
    assert page.title() == "42"
    assert overflow(page) == 1300 + 8 - 1280  # 8 pixels of margin on the left


def test_page__request_to_another_machine_is_noticed(browser: Browser) -> None:
    context = browser.new_context()
    elsewhere = requests_elsewhere(context)
    context.route("**/*", lambda route: route.abort())
    page = context.new_page()
    page.set_content(
        "<img src='http://127.0.0.1:9/a.png'><img src='https://example.invalid/b.png'>"
    )
    page.wait_for_load_state("networkidle")
    context.close()
    assert elsewhere == ["https://example.invalid/b.png"]


def test_page__script_error_is_noticed(browser: Browser) -> None:
    context = browser.new_context()
    errors = script_errors(context)
    context.new_page().set_content("<script>absent()</script>")
    context.close()
    assert len(errors) == 1
    assert "absent is not defined" in errors[0]
