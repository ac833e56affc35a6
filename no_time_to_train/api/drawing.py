"""Masks from clicks and boxes, with the features of the last pictures kept between clicks."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
import numpy.typing as npt

from no_time_to_train.api.pictures import Picture, content_digest, file_state, open_picture
from no_time_to_train.api.prompts import check_within, read_prompt
from no_time_to_train.dataset.targets import to_target
from no_time_to_train.proposers.prompts import EncodedImage, PromptDrawer

KEPT_PICTURES = 4
"""Pictures whose features are kept; each takes 16 MB with the published networks."""


class MaskDrawing:
    """Draws masks; threads wait for each other."""

    def __init__(self, proposer: object, as_stored: bool, lock: RLock) -> None:
        """Take up the networks.

        Args:
            proposer: With SAM 2, if masks are to be drawn.
            as_stored: Whether the EXIF orientation of pictures does not count.
            lock: Held by whoever uses the networks.
        """
        self._proposer = proposer
        self._as_stored = as_stored
        self._lock = lock
        self._kept: OrderedDict[Any, EncodedImage] = OrderedDict()

    def draw(
        self, image: Picture, points: Any, point_labels: Any, box: Any
    ) -> npt.NDArray[np.bool_]:
        """See `FewShotSegmenter.draw_mask`."""
        prompt = read_prompt(points, point_labels, box)
        drawer = PromptDrawer.of(self._proposer)
        with self._lock:
            encoded = self._encoded(image, drawer)
            mask = drawer.draw(encoded, check_within(prompt, encoded.size))
        return np.asarray(mask.cpu())

    def _encoded(self, image: Picture, drawer: PromptDrawer) -> EncodedImage:
        """The picture's features, made anew only where it is none of the last ones."""
        picture = None
        if isinstance(image, str | Path):
            key = file_state(image)  # spares decoding
        else:
            picture = open_picture(image, self._as_stored)
            key = content_digest(picture)
        if key not in self._kept:
            picture = picture or open_picture(image, self._as_stored)
            self._kept[key] = drawer.encode(to_target(picture, drawer.image_size))
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT_PICTURES:
            self._kept.popitem(last=False)
        return self._kept[key]
