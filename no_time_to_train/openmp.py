"""How OpenMP's threads wait for each other; to be settled before PyTorch is imported."""

from __future__ import annotations

import os

SPINS = "10000"
"""Rounds that a waiting thread spins before it sleeps: some tenths of a millisecond, longer than
Python needs from one operation to the next, shorter than the turns in which a system shares a
processor. By default it is 30 times as long, and two runs on one machine keep each other from
working."""


def bound_spinning() -> None:
    """Let waiting threads of GNU OpenMP, PyTorch's on Linux, sleep soon; the user's wish wins."""
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPINS
