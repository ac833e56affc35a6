"""Summaries of references as json, to the bit."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from no_time_to_train.memory.references import ReferenceSummary


def summary_to_json(summary: ReferenceSummary) -> dict[str, Any]:
    """Its fields by name; bytes in base64, of tensors behind number format and shape."""
    return {name: _value_to_json(value) for name, value in vars(summary).items()}


def summary_from_json(content: Mapping[str, Any]) -> ReferenceSummary:
    """The summary that `summary_to_json` was given."""
    values = {name: _value_from_json(value) for name, value in content.items()}
    return ReferenceSummary(**values)


def _value_to_json(value: Any) -> Any:
    if isinstance(value, Tensor):
        return _tensor_to_json(value)
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _value_from_json(value: Any) -> Any:
    if isinstance(value, str):
        return base64.b64decode(value)
    return _tensor_from_json(*value) if isinstance(value, Sequence) else value


def _tensor_to_json(tensor: Tensor) -> tuple[str, list[int], str]:
    values = tensor.numpy()
    return values.dtype.str, list(values.shape), base64.b64encode(values.tobytes()).decode()


def _tensor_from_json(number_format: str, shape: Sequence[int], content: str) -> Any:
    values = np.frombuffer(base64.b64decode(content), dtype=number_format)
    return torch.from_numpy(values.reshape(shape).copy())
