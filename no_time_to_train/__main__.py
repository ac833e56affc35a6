"""The entry points: `run_lightening.py`, `no-time-to-train` and `python -m no_time_to_train`."""

from __future__ import annotations

from no_time_to_train import commands, openmp, termination


def main() -> None:
    """Run the command line of this process."""
    termination.run(_command)


def _command() -> None:
    openmp.bound_spinning()
    commands.main()


if __name__ == "__main__":
    main()
