"""The figures of a run, and a table of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarking.agreement import Agreement
from benchmarking.bank import BankStage

from no_time_to_train.coco.results import CocoRecord


@dataclass(frozen=True)
class Measured:
    """One variant on all images."""

    seconds: dict[str, float]
    """By stage, of one image on average."""
    seconds_per_image: float
    turns: list[float]
    """Seconds per image of each turn."""
    ms_per_point: float
    """Of decoding."""
    gflop_per_point: float
    """Matrix products of decoding."""
    gflops: float
    """GFLOP per second that decoding reached."""
    peak_mb: float
    """Most memory held by the process, or on the GPU."""
    records: list[list[CocoRecord]]
    """By image, best first."""


CLASS_STAGES = "pooling", "merging", "results"
"""The stages that know of classes."""

FIGURES = (
    ("image, s", "seconds_per_image", ".3f"),
    ("decoding, ms per point", "ms_per_point", ".2f"),
    ("decoding, GFLOP per point", "gflop_per_point", ".3f"),
    ("decoding, GFLOP/s", "gflops", ".1f"),
    ("peak memory, MB", "peak_mb", ".0f"),
)


def table(measured: Mapping[str, Measured]) -> str:
    """Seconds per image by stage, then the other figures; a column per variant."""
    columns = measured.values()
    stages = next(iter(columns)).seconds
    rows = [["", *measured]]
    rows += [[f"{stage}, s", *(f"{m.seconds[stage]:.3f}" for m in columns)] for stage in stages]
    rows += [
        [title, *(format(getattr(m, field), style) for m in columns)]
        for title, field, style in FIGURES
    ]
    return in_columns(rows)


def memory_table(stages: Mapping[str, tuple[BankStage, BankStage]]) -> str:
    """Stages 1 and 2 of each data set, a row each."""
    rows = [["stages 1 and 2", "s", "peak memory, MB", "file, MB"]]
    rows += [
        [f"{name}: {stage}", f"{m.seconds:.1f}", f"{m.peak_mb:.0f}", f"{m.file_mb:.1f}"]
        for name, pair in stages.items()
        for stage, m in zip(("fill", "post-process"), pair, strict=True)
    ]
    return in_columns(rows)


def in_columns(rows: Sequence[Sequence[str]]) -> str:
    """Lines of a table, the first column left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def concurrency_table(seconds: Mapping[str, tuple[float, Sequence[float]]]) -> str:
    """Seconds per image of one process, and of each of several at once; a row per variant."""
    rows = [["seconds per image", "one process", "each of several at once", "ratio"]]
    rows += [
        [name, f"{single:.3f}", ", ".join(f"{each:.3f}" for each in together),
         f"{max(together) / single:.2f}"]
        for name, (single, together) in seconds.items()
    ]  # fmt: skip
    return in_columns(rows)


def ratios(base: Measured, other: Measured) -> str:
    """How much faster the other variant is, over all turns and in the least and best of them."""
    image = base.seconds_per_image / other.seconds_per_image
    decoding = base.seconds["decoding"] / other.seconds["decoding"]
    by_turn = sorted(a / b for a, b in zip(base.turns, other.turns, strict=True))
    span = f" ({by_turn[0]:.2f} to {by_turn[-1]:.2f} by turn)" if len(by_turn) > 1 else ""
    return f"image {image:.2f} x{span}, decoding {decoding:.2f} x as fast"


def compare(base: Measured, other: Measured) -> str:
    """How much longer a run with other classes takes."""
    image = other.seconds_per_image / base.seconds_per_image - 1
    own = sum(other.seconds[stage] - base.seconds[stage] for stage in CLASS_STAGES)
    share = own / base.seconds_per_image
    return f"an image takes {image:+.1%}, of which {share:+.1%} in {', '.join(CLASS_STAGES)}"


def in_words(agreement: Agreement) -> str:
    """Whether the detections are the same."""
    return (
        f"{agreement.matched} of {agreement.theirs} detections again, of {agreement.ours}; "
        f"least mask IoU {agreement.min_mask_iou:.6f}, "
        f"greatest score difference {agreement.max_score_difference:.1e}"
    )
