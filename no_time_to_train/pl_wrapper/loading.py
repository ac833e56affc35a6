"""Images, read and resized in worker processes."""

from __future__ import annotations

import os
from typing import Any

from torch.utils.data import DataLoader, Dataset, Sampler

from no_time_to_train.config import DataLoadConfig


def image_loader(
    dataset: Dataset[Any], sampler: Sampler[int], config: DataLoadConfig
) -> DataLoader[Any]:
    """Batches as plain lists, in sampler order.

    Args:
        dataset: References or targets.
        sampler: Which of them, in which order.
        config: Workers (never more than there are cores) and batch size.
    """
    workers = min(config.workers, os.cpu_count() or 1)
    return DataLoader(
        dataset,
        batch_size=config.batch_size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=list,
    )
