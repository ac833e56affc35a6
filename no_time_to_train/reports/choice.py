"""Which pictures are shown: the first of an order, and a random few, without holding the others."""

from __future__ import annotations

import hashlib
import heapq
from typing import Any, Generic, TypeVar

PER_GROUP = 6
"""Pictures that are shown for one reason."""
Item = TypeVar("Item")


class Best(Generic[Item]):
    """The few items with the largest keys; of equal ones, those that came first."""

    def __init__(self, limit: int) -> None:
        self._limit, self._heap, self._count = limit, [], 0  # type: ignore[var-annotated]

    def offer(self, key: Any, item: Item) -> None:
        """Take an item if it is among the best so far.

        Args:
            key: Anything that can be compared.
            item: Never compared.
        """
        self._count += 1
        heapq.heappush(self._heap, (key, -self._count, item))
        if len(self._heap) > self._limit:
            heapq.heappop(self._heap)

    def items(self) -> list[Item]:
        """The best first."""
        return [item for _, _, item in sorted(self._heap, key=lambda each: each[:2], reverse=True)]


def draw(name: str) -> int:
    """A number by which names are in a random order that is always the same."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "big")
