"""The settings that a run uses, in its log folder."""

from __future__ import annotations

from pathlib import Path

import yaml
from lightning import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from no_time_to_train.config_files import safe_load
from no_time_to_train.files import atomic_write, remove_leftovers
from no_time_to_train.pl_wrapper.used_settings import used_settings


class SavedConfig(SaveConfigCallback):
    """Stores them as Lightning's own callback does, but whole or not at all.

    Those that are only for other stages are left out.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the file; Lightning calls this on every rank.

        Raises:
            InputError: The log folder cannot be written to.
        """
        folder = trainer.log_dir  # asks all ranks
        if trainer.is_global_zero:
            path = Path(folder or ".") / self.config_filename
            for earlier in path.parent.parent.glob("version_*"):  # nobody else will write there
                remove_leftovers(earlier)
            settings = safe_load(self.parser.dump(self.config, skip_none=False))
            with atomic_write(path, is_result=False) as file:
                yaml.safe_dump(used_settings(settings), file, sort_keys=False)
