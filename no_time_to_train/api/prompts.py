"""Clicks and boxes that people hand to the Python API, checked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from no_time_to_train.api.arguments import shown
from no_time_to_train.errors import InputError
from no_time_to_train.proposers.prompts import Prompt

Numbers = npt.NDArray[np.float32]


def read_prompt(points: Any, point_labels: Any, box: Any) -> Prompt:
    """Clicks and a box as SAM 2 takes them.

    Args:
        points: (T, 2) xy in pixels, one pair of numbers, or None.
        point_labels: (T,) of 1 (inside) and 0 (outside), one number, or None for ones.
        box: xyxy in pixels, or None.

    Raises:
        InputError: One of them is of another kind, or nothing says where the object is.
    """
    if points is None and box is None:
        raise InputError("there is neither points nor box; give one of them, or both")
    clicks = np.zeros((0, 2), np.float32) if points is None else _points(points)
    positive = _labels(point_labels, len(clicks))
    corners = None if box is None else torch.from_numpy(read_box(box))
    if corners is None and not positive.any():
        raise InputError(
            f"point_labels is {shown(point_labels)}: no click is on the object; give one with "
            "label 1, or a box"
        )
    return Prompt(torch.from_numpy(clicks), torch.from_numpy(positive), corners)


def read_box(box: Any, argument: str = "box") -> Numbers:
    """A box as an array (4,).

    Raises:
        InputError: It is none.
    """
    corners = numbers(box)
    if corners is None or corners.shape != (4,):
        raise InputError(
            f"{argument} is {shown(box)}; give four numbers (x1, y1, x2, y2) in pixels"
        )
    x1, y1, x2, y2 = corners.tolist()
    if x1 >= x2 or y1 >= y2:
        raise InputError(
            f"{argument} is {shown(box)}, which holds nothing; give (x1, y1, x2, y2) with x1 < x2 "
            "and y1 < y2, in pixels"
        )
    return corners


def check_within(prompt: Prompt, size: tuple[int, int]) -> Prompt:
    """Refuse clicks outside the picture, and cut the box where it reaches beyond.

    Args:
        prompt: What is meant.
        size: (height, width) of the picture in pixels.

    Raises:
        InputError: A click, or the whole box, lies outside.
    """
    height, width = size
    sides = torch.tensor([width, height], dtype=torch.float32)
    outside = ((prompt.points < 0) | (prompt.points > sides)).any(dim=1)  # (T,)
    if outside.any():
        point = tuple(prompt.points[int(outside.int().argmax())].tolist())
        raise InputError(f"the point {point} lies outside the image, {_spoken(size)}")
    if prompt.box is None:
        return prompt
    box = prompt.box.clamp(min=0).minimum(sides.repeat(2))
    if not (box[:2] < box[2:]).all():
        raise InputError(
            f"box {tuple(prompt.box.tolist())} lies outside the image, {_spoken(size)}"
        )
    return replace(prompt, box=box)


def numbers(value: Any, kinds: str = "iuf") -> Numbers | None:
    """An array of finite numbers; None where it is none.

    Args:
        value: Of any type.
        kinds: NumPy's letters of the types that count as numbers.
    """
    try:
        array = np.asarray(value)
    except Exception:  # ragged lists, tensors of a GPU
        return None
    if array.dtype.kind not in kinds or not np.isfinite(array).all():
        return None
    return array.astype(np.float32)


def _points(points: Any) -> Numbers:
    clicks = numbers(points)
    if clicks is not None and clicks.shape == (2,):
        clicks = clicks[None]
    if clicks is None or clicks.ndim != 2 or clicks.shape[1] != 2 or not len(clicks):
        raise InputError(f"points is {shown(points)}; give pairs [[x, y], ...] in pixels")
    return clicks


def _labels(labels: Any, count: int) -> npt.NDArray[np.bool_]:
    if labels is None:
        return np.ones(count, np.bool_)
    values = numbers(labels, "biuf")
    if values is not None and values.shape == ():
        values = values[None]
    if values is None or values.shape != (count,) or not np.isin(values, (0, 1)).all():
        raise InputError(
            f"point_labels is {shown(labels)}; give 1 (inside) or 0 (outside) for each of the "
            f"{count} points"
        )
    return values.astype(np.bool_)


def _spoken(size: tuple[int, int]) -> str:
    height, width = size
    return f"which is {width} pixels wide and {height} high; give pixels of the image"
