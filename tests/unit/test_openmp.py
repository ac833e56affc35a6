from __future__ import annotations

import os

import pytest

from no_time_to_train.openmp import SPINS, bound_spinning


@pytest.mark.parametrize(
    ("given", "spins"),
    [
        ({}, SPINS),
        ({"GOMP_SPINCOUNT": "77"}, "77"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, None),
        ({"OMP_NUM_THREADS": "1"}, SPINS),
    ],
)
def test_bound_spinning__leaves_what_the_user_has_set(
    given: dict[str, str], spins: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(given))
    bound_spinning()
    assert os.environ.get("GOMP_SPINCOUNT") == spins
