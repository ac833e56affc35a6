"""What lies between the matrix products of the upscaling, in one pass over memory each, on a CPU.

It is little arithmetic on 4 and 8 MB per mask: add what all masks share, normalise, activate,
contract. One operation of PyTorch after another carries these blocks to the processor and back
eight times, for longer than the products take. Compiled by Numba, a block is read once, and pixels
are written where they belong. Imported when the first mask is drawn this way: Numba takes a while.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from numba.core.registry import cpu_target
from numpy.polynomial import chebyshev
from torch import Tensor, nn


def _create_cpu_target() -> None:
    """Let LLVM use all 512 bits of a register, unless the user has said what it may use.

    By itself it uses half, lest other programs be slowed; the matrix products use all anyway. Numba
    reads the setting when it first compiles, here, and the setting is left as it was.
    """
    config: Any = numba.config
    before, features = config.CPU_FEATURES, llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f") and before is None:
        config.CPU_FEATURES = features.flatten() + ",-prefer-256-bit"
    try:
        _ = cpu_target.target_context
    finally:
        config.CPU_FEATURES = before


_create_cpu_target()


def _compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """Compile a function when it is first called, and keep the result where there is a place.

    Sums may be taken in any order, as a matrix product takes them. One thread runs it, and lets
    other threads of Python run beside it.
    """
    options |= {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz", "reassoc"}}
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:  # no folder that may be written to
        return numba.njit(function, **options)


_HALF, _ONE = np.float32(0.5), np.float32(1)
_ROOT_HALF = np.float32(math.sqrt(0.5))
_ERF_IS_ONE = np.float32(3.92)
"""From here on float32 has no number between erf and 1."""


def _erf_over_argument(degree: int) -> tuple[np.float32, ...]:
    """The polynomial in t, highest power first, that erf(z) / z follows.

    t goes from -1 to 1 as z^2 goes from 0 to where erf is 1.
    """

    def exact(t: Any) -> Any:
        arguments = np.sqrt((t + 1) / 2) * float(_ERF_IS_ONE)
        return np.array([math.erf(z) / z for z in arguments])

    powers = chebyshev.cheb2poly(chebyshev.chebinterpolate(exact, degree))
    return tuple(np.float32(factor) for factor in powers[::-1])


_ERF = _erf_over_argument(degree=14)
_TERMS = len(_ERF)
_TO_T = np.float32(2) / _ERF_IS_ONE**2


@functools.partial(_compiled, inline="always")
def _gelu(x: Any) -> Any:
    """As x (1 + erf(x / sqrt 2)) / 2, without a branch."""
    z = min(max(x * _ROOT_HALF, -_ERF_IS_ONE), _ERF_IS_ONE)
    t = z * z * _TO_T - _ONE
    ratio = _ERF[0]
    for term in range(1, _TERMS):
        ratio = ratio * t + _ERF[term]
    return _HALF * x * (_ONE + z * ratio)


@functools.cache
def _activation(channels: int) -> Callable[..., None]:
    """`activate` for subpixels of so many channels: loops of a known length become vectors."""
    count = np.float32(channels)

    @_compiled
    def _activate(
        x: Any, base: Any, scale: Any, offset: Any, weight: Any, bias: Any, eps: Any
    ) -> None:
        for row in range(len(x)):
            factor = scale[row // 4]
            total = np.float32(0)
            for c in range(channels):
                value = (x[row, c] + base[row, c]) * factor + offset[row, c]
                x[row, c] = value
                total += value
            mean = total / count
            total = np.float32(0)
            for c in range(channels):
                total += (x[row, c] - mean) ** 2
            inverse = _ONE / np.float32(math.sqrt(total / count + eps))
            for c in range(channels):
                x[row, c] = _gelu((x[row, c] - mean) * inverse * weight[c] + bias[c])

    return _activate


@functools.cache
def _contraction(channels: int) -> Callable[..., None]:
    """`contract` for pixels of so many channels."""

    @_compiled
    def _contract(x: Any, skip: Any, hyper_in: Any, masks: Any) -> None:
        across = masks.shape[2] // 4
        for position in range(len(x) // 16):
            top, left = position // across * 4, position % across * 4
            for pixel in range(16):  # four bits: dy, dx, dy', dx'
                row, down = 16 * position + pixel, pixel // 8 * 2 + pixel // 2 % 2
                right = pixel // 4 % 2 * 2 + pixel % 2
                for mask in range(len(masks)):
                    total = np.float32(0)
                    for c in range(channels):
                        total += _gelu(x[row, c] + skip[row, c]) * hyper_in[mask, c]
                    masks[mask, top + down, left + right] = total

    return _contract


def are_compiled() -> bool:
    """Whether an earlier process has left them in the folder that Numba keeps them in."""
    folder = _gelu.stats.cache_path  # type: ignore[attr-defined]  # of Numba, which has no types
    kept = [] if folder is None else [path.name for path in Path(folder).glob("*.nbc")]
    return all(any(name in each for each in kept) for name in ("._activate-", "._contract-"))


def activate(x: Tensor, base: Tensor, scale: Tensor, offset: Tensor, norm: nn.LayerNorm) -> None:
    """Put GELU(norm(scale (x + base) + offset)) in the place of x.

    Args:
        x: P positions of four subpixels, (P, 4 * C).
        base: (P, 4 * C)
        scale: One per position, (P,).
        offset: (P, 4 * C)
        norm: Over the channels of a subpixel.
    """
    channels = len(norm.weight)
    rows = (x.view(-1, channels), base.view(-1, channels), scale, offset.view(-1, channels))
    _run(_activation(channels), *rows, norm.weight, norm.bias, np.float32(norm.eps))


def contract(x: Tensor, skip: Tensor, hyper_in: Tensor, masks: Tensor) -> None:
    """Multiply GELU(x + skip) with the row of each mask.

    Args:
        x: P positions of sixteen pixels in the order (dy, dx, dy', dx'), (4 P, 4 * C).
        skip: (4 P, 4 * C)
        hyper_in: (M, C)
        masks: Where the logits go, (M, 4h, 4w), P = h * w.
    """
    channels = hyper_in.shape[1]
    _run(_contraction(channels), x.view(-1, channels), skip.view(-1, channels), hyper_in, masks)


def _run(compiled: Callable[..., None], *arguments: Tensor | np.float32) -> None:
    compiled(*(x.detach().numpy() if isinstance(x, Tensor) else x for x in arguments))
