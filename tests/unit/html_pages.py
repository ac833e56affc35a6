"""What a browser would see of a page: elements with their attributes, and text."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "input", "img", "link", "br"}
FETCHING = {"src", "href", "srcset", "data", "action", "poster", "xlink:href", "formaction"}


class Page(HTMLParser):
    """A parsed page; elements that are not closed in order fail."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self._open[-1:] != ["style"]:
            self.text += data

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        """Attributes of the elements of that name, and with these."""
        wanted = {key.replace("_", "-"): value for key, value in attributes.items()}
        return [own for name, own in self.elements if name == tag and wanted.items() <= own.items()]

    def fetched(self) -> list[str]:
        """What the page would load or lead to, without places in itself and what it holds."""
        values = [own[key] or "" for _, own in self.elements for key in FETCHING & own.keys()]
        return [value for value in values if not value.startswith(("#", "data:image/"))]
