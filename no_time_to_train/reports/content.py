"""What a report page shows, whatever the run was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

BINS = 20
"""Bars of a histogram."""
MAX_BAR_ROWS = 300
"""Of a table of classes; LVIS has 1203."""


@dataclass(frozen=True)
class Fact:
    """A line of a list."""

    name: str
    value: str


@dataclass(frozen=True)
class Table:
    """Text in rows."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    """The first cell of each names the row."""


@dataclass(frozen=True)
class BarRow:
    """A row of a table of bars."""

    name: str
    count: int | None
    values: Sequence[float | None]
    """In [0, 1], by column; None where there is no ground truth."""


@dataclass(frozen=True)
class BarTable:
    """Numbers with a bar each."""

    caption: str
    row_header: str
    count_header: str | None
    """Of the column of counts, where there is one."""
    columns: Sequence[str]
    rows: Sequence[BarRow]
    has_values: bool = True
    """Whether the numbers stand beside the bars."""
    left_out: int = 0
    """Rows beyond the limit."""

    def limited(self) -> BarTable:
        """The same with as many rows as a page takes."""
        left_out = max(len(self.rows) - MAX_BAR_ROWS, 0)
        return replace(self, rows=self.rows[:MAX_BAR_ROWS], left_out=left_out)


@dataclass(frozen=True)
class Series:
    """Values over equal steps of [0, 1]."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True)
class Curves:
    """Lines from 0 to 1 on both axes."""

    title: str
    x_title: str
    y_title: str
    series: Sequence[Series]


@dataclass(frozen=True)
class Histogram:
    """Counts over equal parts of [0, 1], one kind of count upon another."""

    title: str
    x_title: str
    parts: Sequence[Series]
    """The lowest first."""
    threshold: float | None


@dataclass(frozen=True)
class ConfusionMatrix:
    """How often instances of each class were found as each class."""

    threshold: float
    names: Sequence[str]
    """Of its K classes; without any where there are too many for a table."""
    counts: Sequence[Sequence[int]]
    """(K + 1, K + 1); rows are the ground truth, the last one nothing, and columns the detections,
    the last one what was not found."""
    frequent: Table
    """The pairs of different classes, the most frequent first."""


@dataclass(frozen=True)
class Outline:
    """An instance on a picture."""

    label: str
    path: str
    """What SVG's path element takes, in pixels of the picture as it is embedded."""
    colour: str
    """As `#rrggbb`."""
    score: float | None
    """None for ground truth."""
    centre: tuple[float, float]
    """(x, y) where its number stands."""


@dataclass(frozen=True)
class Picture:
    """A picture with what was found in it."""

    file_name: str
    width: int
    """As embedded, in pixels."""
    height: int
    data_uri: str | None
    """A JPEG; None where the file cannot be read."""
    caption: str
    found: Sequence[Outline]
    """Best first."""
    truths: Sequence[Outline]
    left_out: int
    """Instances beyond the limit."""


@dataclass(frozen=True)
class PictureGroup:
    """Pictures that were chosen for one reason."""

    title: str
    explanation: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class ReferenceClass:
    """The references of a class."""

    name: str
    count: int | None
    """None where it is not known."""
    thumbnails: Sequence[str]
    """Data URIs, not more than there are references."""


@dataclass(frozen=True)
class Report:
    """A page."""

    title: str
    headline: Sequence[Fact] = ()
    """Numbers in large print."""
    notes: Sequence[str] = ()
    """What is missing or limited, in sentences."""
    facts: Sequence[Fact] = ()
    files: Sequence[Fact] = ()
    """Checksums by what the files are."""
    settings: Sequence[Fact] = ()
    truth: str | None = None
    """Why there is no accuracy, where there is none."""
    tables: Sequence[Table] = ()
    per_class: BarTable | None = None
    sizes: BarTable | None = None
    curves: Sequence[Curves] = ()
    histogram: Histogram | None = None
    confusions: ConfusionMatrix | None = None
    references: Sequence[ReferenceClass] = ()
    references_left_out: int = 0
    """Pictures of references beyond the limit."""
    threshold: float | None = None
    """Where the slider stands."""
    lowest_score: float = 0.0
    """Where the slider begins: nothing was kept below."""
    groups: Sequence[PictureGroup] = ()
    bad_images: Sequence[Fact] = ()
    """The first of those that could not be read, with the reason."""
    bad_image_count: int = 0
