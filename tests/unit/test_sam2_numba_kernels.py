"""Compiled passes against the operations they stand for, in float64."""

import math
from types import SimpleNamespace

import numba
import pytest
import torch
import torch.nn.functional as F

from sam2.fast import numba_kernels
from sam2.fast.upscaling import is_supported


def test_contract__gelu_is_as_exact_as_float32_allows():
    x = torch.linspace(-12, 12, 4096 * 16 * 4).view(4 * 4096, 16)
    masks = torch.empty(4, 256, 256)  # each looks at one channel of four alone
    with torch.no_grad():
        numba_kernels.contract(x, torch.zeros_like(x), torch.eye(4), masks)
    # (channel, h, dy, dy', w, dx, dx') to (h, w, dy, dx, dy', dx', channel)
    found = masks.view(4, 64, 2, 2, 64, 2, 2).permute(1, 4, 2, 5, 3, 6, 0).reshape(x.shape)
    error = (found - F.gelu(x.double())).abs()
    assert (error / x.abs().clamp(min=1)).max() < 3e-7


def test_contract__values_that_are_no_numbers_are_not_hidden():
    x = torch.tensor([math.nan, math.inf, -100.0, 100.0]).repeat(4, 4)
    masks = torch.empty(4, 4, 4)
    with torch.no_grad():
        numba_kernels.contract(
            x, torch.zeros_like(x), torch.eye(4).index_fill(0, torch.tensor([1]), 0), masks
        )
    assert masks[0].isnan().all()
    assert not masks[1].isfinite().any()


def test_activate__equals_norm_and_gelu():
    torch.manual_seed(0)
    x, base, offset = torch.randn(3, 20, 4 * 8)
    scale = torch.rand(20) + 0.5
    norm = torch.nn.LayerNorm(8, eps=1e-6)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    sums = scale.double()[:, None] * (x.double() + base) + offset
    expected = F.gelu(
        F.layer_norm(sums.view(20, 4, 8), (8,), norm.weight.double(), norm.bias.double(), norm.eps)
    )
    with torch.no_grad():
        numba_kernels.activate(x, base, scale, offset, norm)
    torch.testing.assert_close(x.view(20, 4, 8).double(), expected, rtol=1e-5, atol=2e-6)


def test_is_supported__float32_on_a_cpu():
    x = torch.zeros(1)
    assert is_supported(x)
    assert not is_supported(x.bfloat16())
    assert not is_supported(x.to("meta"))
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_supported(x)


def test_compiled__where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch):
    refused = []
    compile_it = numba.njit

    def njit(function, **options):
        if options.get("cache"):
            refused.append(function)
            raise RuntimeError("cannot cache function: no locator available")
        return compile_it(function, **options)

    monkeypatch.setattr(numba, "njit", njit)
    double = numba_kernels._compiled(lambda x: x + x)
    assert double(2) == 4
    assert len(refused) == 1


def test_are_compiled__looks_for_both_kernels_where_numba_keeps_them(tmp_path, monkeypatch):
    def with_folder(folder):
        stats = SimpleNamespace(stats=SimpleNamespace(cache_path=folder))
        monkeypatch.setattr(numba_kernels, "_gelu", stats)
        return numba_kernels.are_compiled()

    assert not with_folder(None)  # no place that may be written to
    assert not with_folder(str(tmp_path))
    (tmp_path / "numba_kernels._activation.locals._activate-97.py311.1.nbc").touch()
    assert not with_folder(str(tmp_path))
    (tmp_path / "numba_kernels._contraction.locals._contract-123.py311.1.nbc").touch()
    assert with_folder(str(tmp_path))
