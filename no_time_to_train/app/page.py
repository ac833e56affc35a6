"""The page, from top to bottom: mark examples, drop pictures, see what was found."""

from __future__ import annotations

from typing import Any

import gradio as gr

from no_time_to_train.app.handlers import HEADER, Handlers, told, told_as_failure
from no_time_to_train.app.marking import Mode

TITLE = "No time to train"
CSS = """
.gradio-container {max-width: 1120px !important; margin: 0 auto !important}
.step {margin-top: 18px}
.step h2 {margin-bottom: 2px}
#picture img {cursor: crosshair; width: 100%; height: 100%; object-fit: contain}
#examples .fixed-height, #found .fixed-height {min-height: 0; max-height: 80vh; overflow-y: auto}
#instances {max-width: calc(100vw - 64px)}
#instances * {font-family: var(--font) !important}
#summary {min-height: 64px}
@media (max-width: 600px) {
  #examples .grid-container {grid-template-columns: repeat(3, 1fr) !important}
  #found .grid-container {grid-template-columns: 1fr !important}
}
"""
FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
FONT_MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")
CLICK = "() => setTimeout(() => document.querySelector('#{}').click(), 100)"
"""Presses a button that holds a file once its name has arrived in the browser."""


def build_page(handlers: Handlers, threshold: float) -> gr.Blocks:
    """Lay the page out.

    Args:
        handlers: What it calls.
        threshold: Lowest score that is shown at first.
    """
    _keep_uploads_closed()
    page = gr.Blocks(title=TITLE, analytics_enabled=False)
    with page:
        session = gr.State(None, delete_callback=handlers.end)
        gr.Markdown(
            f"# {TITLE}\nMark an example or a few of what you look for, and every other instance "
            "of it is found in your pictures. Nothing leaves this machine."
        )
        classes = _mark_step(handlers, session)
        _search_steps(handlers, session, threshold)
        page.load(told(handlers.begin), outputs=[session, classes])
    return page


def theme() -> gr.themes.Base:
    """Colours, and the fonts of the system."""
    return gr.themes.Default(primary_hue="blue", font=FONT, font_mono=FONT_MONO)


def _mark_step(handlers: Handlers, session: gr.State) -> gr.HTML:
    gr.Markdown(
        "## 1. Mark examples\nClick on an object, and its mask is drawn. Where the mask is wrong, "
        "click again: on the object, or on what does not belong to it.",
        elem_classes="step",
    )
    with gr.Row():
        with gr.Column(scale=3, min_width=340):
            picture = _picture_input()
        with gr.Column(scale=2, min_width=300):
            modes = [each.value for each in Mode]
            mode = gr.Radio(modes, value=modes[0], label="My clicks are")
            with gr.Row():
                undo = gr.Button("Undo", min_width=100)
                unmark = gr.Button("Clear marks", min_width=100)
            name = gr.Textbox(label="Name of the object", placeholder="such as bird", max_lines=1)
            add = gr.Button("Add this example", variant="primary")
            classes = gr.HTML(padding=False)
    picture.upload(told(handlers.open), [session, picture], picture, show_progress="minimal")
    picture.clear(told_as_failure(handlers.close), session, queue=False)
    # A click waits neither in Gradio's queue nor is it dropped while another is at work.
    on_click: dict[str, Any] = {"outputs": picture, "queue": False, "trigger_mode": "multiple"}
    picture.select(told_as_failure(handlers.click), [session, mode], **on_click)
    undo.click(told_as_failure(handlers.undo), session, **on_click)
    unmark.click(told_as_failure(handlers.unmark), session, **on_click)
    shown = [*_examples(handlers, session, classes), classes]
    gr.on(
        [add.click, name.submit],
        told(handlers.add),
        [session, name],
        [picture, *shown],
        show_progress="minimal",
    )
    return classes


def _picture_input() -> gr.Image:
    return gr.Image(
        label="Drop a picture",
        sources=["upload", "clipboard"],
        type="filepath",
        format="jpeg",
        height=440,
        buttons=["fullscreen"],
        elem_id="picture",
    )


def _keep_uploads_closed() -> None:
    """Have images hand on the path of what was dropped; the session opens it, and says what it is.

    Not by a subclass: Gradio writes a file of types beside the source of each.
    """
    gr.Image.preprocess = _path  # type: ignore[method-assign, assignment]


def _path(component: gr.Image, payload: Any) -> str | None:
    return None if payload is None else payload.path


def _examples(handlers: Handlers, session: gr.State, classes: gr.HTML) -> list[Any]:
    """The examples so far, in a block that is there once there are some; returns both."""
    with gr.Column(visible=False) as block:
        gallery = gr.Gallery(
            show_label=False,
            columns=8,
            fit_columns=False,
            height="auto",
            object_fit="contain",
            allow_preview=False,
            interactive=False,
            buttons=[],
            format="jpeg",
            elem_id="examples",
        )
        with gr.Row():
            remove = gr.Button("Remove the chosen example", size="sm")
            memory = gr.Button("Download the examples as a memory (.pth)", size="sm")
    chosen = gr.State(None)
    gallery.select(_chosen, outputs=chosen, queue=False)
    remove.click(told(handlers.remove), [session, chosen], [chosen, block, gallery, classes])
    _download(memory, handlers.memory_file, [session], "memory-file")
    return [block, gallery]


def _search_steps(handlers: Handlers, session: gr.State, threshold: float) -> None:
    gr.Markdown("## 2. Drop pictures to search", elem_classes="step")
    with gr.Row():
        size: dict[str, Any] = {"height": 150, "min_width": 300}
        files = gr.File(label="Pictures", file_count="multiple", elem_id="files", **size)
        folder = gr.File(label="Or a folder", file_count="directory", elem_id="folder", **size)
    search = gr.Button("Search", variant="primary")
    gr.Markdown("## 3. See what was found", elem_classes="step")
    summary = gr.HTML("<p>Nothing was searched yet.</p>", elem_id="summary", padding=False)
    with gr.Column(visible=False) as block:
        slider = gr.Slider(0, 1, threshold, step=0.01, label="Threshold: lowest score that counts")
        gallery = _found_gallery()
        masks = gr.Button("Download masks, results.json and instances.csv (.zip)")
        table = _table()
    shown = [summary, block, gallery, table]
    # Several sessions may search: they take turns picture by picture.
    inputs = [session, files, folder, slider]
    search.click(
        told(handlers.search), inputs, shown, concurrency_limit=4, show_progress_on=summary
    )
    slider.release(told_as_failure(handlers.redraw), [session, slider], shown, queue=False)
    _download(masks, handlers.masks, [session, slider], "masks-file")


def _found_gallery() -> gr.Gallery:
    return gr.Gallery(
        show_label=False,
        columns=3,
        fit_columns=False,
        height="auto",
        object_fit="contain",
        interactive=False,
        buttons=["fullscreen", "download"],
        format="jpeg",
        elem_id="found",
    )


def _table() -> gr.Dataframe:
    return gr.Dataframe(
        headers=HEADER,
        type="array",
        interactive=False,
        max_height=400,
        label="Instances",
        buttons=[],
        elem_id="instances",
    )


def _chosen(event: gr.SelectData) -> int:
    return int(event.index)


def _download(button: gr.Button, write: Any, inputs: list[Any], name: str) -> None:
    """Write a file when the button is pressed, and hand it to the browser."""
    file = gr.DownloadButton(visible="hidden", elem_id=name)
    written = button.click(told_as_failure(write), inputs, file, show_progress="hidden")
    written.success(None, js=CLICK.format(name))
