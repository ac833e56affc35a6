"""What there is to say about how an image was read, and how often it is said."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)
"""For messages that may hold of every image; what differs between images is an argument."""


class FirstOfEachKind(logging.Filter):
    """Lets the first message of each kind about images pass, and all other messages."""

    def __init__(self) -> None:
        super().__init__()
        self._kinds: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a message is written; Python's logging calls this."""
        if record.name != logger.name:
            return True
        known = record.msg in self._kinds
        self._kinds.add(record.msg)
        return not known
