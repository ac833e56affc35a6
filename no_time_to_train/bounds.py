"""What values settings may have; beyond the limits nothing real lies.

Where a number is allocated or counted to, one that is too large would fill memory or never end.
"""

from __future__ import annotations

from no_time_to_train.errors import InputError

MAX_COUNT = 100_000
MAX_PROMPTS_PER_SIDE = 1024
MAX_SIDE = 8192
MAX_MEGABYTES = 1_000_000
MAX_PROCESSES = 1024
MAX_CONTEXT_RATIO = 1000
MAX_POWER = 100


def require(holds: bool, sentence: str) -> None:
    """Refuse settings.

    Raises:
        InputError: It does not hold.
    """
    if not holds:
        raise InputError(sentence)


def require_between(minimum: float, maximum: float, **values: float) -> None:
    """Refuse values outside of bounds, and NaN.

    Args:
        minimum: Smallest value that is allowed.
        maximum: Largest value that is allowed.
        values: By the setting's name, with `__` for a dot.

    Raises:
        InputError: One lies outside.
    """
    for key, value in values.items():
        name = key.replace("__", ".")
        shown = "a number of over 30 digits" if abs(value) >= 1e30 else f"{value}"
        if (minimum, maximum) == (0, 1):
            require(0 <= value <= 1, f"{name} must lie between 0 and 1, got {shown}")
        require(value >= minimum, f"{name} must be {minimum} or more, got {shown}")
        require(value <= maximum, f"{name} must be {maximum} or less, got {shown}")
