"""The line that tells how far a run is."""

from __future__ import annotations

import pytest

from no_time_to_train.pl_wrapper.heartbeat import progress_line


@pytest.mark.parametrize(
    ("done", "before", "seconds", "line"),
    [
        (0, 0, 5.0, "0 of 40 images, none of this run yet"),
        (10, 10, 5.0, "10 of 40 images, none of this run yet"),
        (10, 0, 4.0, "10 of 40 images, 2.5 images/s, 0:00:12 left"),  # 30 / 2.5
        (20, 10, 400.0, "20 of 40 images, 0.025 images/s, 0:13:20 left"),  # 20 x 40 s
        (40, 0, 10.0, "40 of 40 images, 4 images/s, 0:00:00 left"),
    ],
)
def test_progress_line__tells_done_speed_and_time_left(
    done: int, before: int, seconds: float, line: str
) -> None:
    assert progress_line(done, before, 40, "images", seconds) == line


def test_progress_line__of_days() -> None:
    line = progress_line(1, 0, 12_031, "references", 11.0)
    assert line == "1 of 12031 references, 0.0909 references/s, 1 day, 12:45:30 left"  # 132,330 s
