"""Write files that appear whole or not at all."""

from __future__ import annotations

from no_time_to_train.files import replacing

__all__ = ["replacing"]
