from __future__ import annotations

from no_time_to_train.proposers.point_grid import point_grid


def test_point_grid__runs_down_the_columns_from_corner_to_corner() -> None:
    points = point_grid(points_per_side=3, image_size=1024)
    assert points[:4].tolist() == [[0.5, 0.5], [0.5, 512], [0.5, 1023.5], [512, 0.5]]
    assert len(points) == 9
