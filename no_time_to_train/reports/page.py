"""Turn what a report shows into HTML; every name in it is taken for hostile."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from no_time_to_train.reports.content import Report, Series

TEMPLATES = Path(__file__).parent / "templates"
MATRIX_SHADES = 9
"""Steps of colour in a confusion matrix."""


def render(report: Report) -> str:
    """The whole page.

    What runs and what styles it is allowed by checksum alone, so that nothing which came from a
    file could, even if it were not escaped; and nothing may be fetched.
    """
    style, script = (_asset(name) for name in ("report.css", "report.js"))
    page = (
        _environment()
        .get_template("report.html.jinja")
        .render(
            report=report,
            style=Markup(style),
            script=Markup(script),
            policy=f"default-src 'none'; img-src data:; style-src {_source(style)}; "
            f"script-src {_source(script)}; base-uri 'none'; form-action 'none'",
        )
    )
    return _encodable(page)


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _source(content: str) -> str:
    """How a Content-Security-Policy names an inline element."""
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _encodable(page: str) -> str:
    """File names may hold bytes that are no UTF-8; these are shown as question marks."""
    return page.encode("utf-8", "replace").decode("utf-8")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "polyline": polyline,
        "stacked": stacked,
        "percent": lambda value: f"{100 * value:.1f}",
        "shade": shade,
    }
    return environment


def polyline(values: Sequence[float], width: int, height: int) -> str:
    """Points of a line of SVG over equal steps.

    Args:
        values: In [0, 1], two or more.
        width: Of the chart.
        height: Of the chart.
    """
    step = width / (len(values) - 1)
    points = (f"{row * step:.1f},{height * (1 - value):.1f}" for row, value in enumerate(values))
    return " ".join(points)


def stacked(
    parts: Sequence[Series], width: int, height: int
) -> list[tuple[int, float, float, float, float]]:
    """Bars of a histogram, one part upon another.

    Returns:
        (part, x, y, width, height) of each bar that there is.
    """
    columns = list(zip(*(part.values for part in parts), strict=True))
    most = max((sum(column) for column in columns), default=0) or 1
    step = width / max(len(columns), 1)
    bars = []
    for row, column in enumerate(columns):
        top = float(height)
        for part, count in enumerate(column):
            size = height * count / most
            top -= size
            if count:
                bars.append((part, row * step + 1, top, step - 2, size))
    return bars


def shade(count: int, row: Sequence[int]) -> int:
    """Colour of a cell, from 0 for nothing to the last for all of its row."""
    if not count:
        return 0
    return max(1, round(MATRIX_SHADES * count / sum(row)))
