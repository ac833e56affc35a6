"""Messages about images: the first of each kind is enough."""

from __future__ import annotations

import io
import logging

from no_time_to_train.dataset.image_log import FirstOfEachKind, logger


def test_first_of_each_kind__of_messages_about_images_alone() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(FirstOfEachKind())
    other = logging.getLogger("no_time_to_train.other")
    for each in (logger, other):
        each.addHandler(handler)
    try:
        for name in ("a.png", "b.png"):
            logger.warning("%s is dark", name)
            logger.warning("%s is turned", name)
            other.warning("%s is written", name)
    finally:
        for each in (logger, other):
            each.removeHandler(handler)
    assert stream.getvalue().splitlines() == [
        "a.png is dark",
        "a.png is turned",
        "a.png is written",
        "b.png is written",
    ]
