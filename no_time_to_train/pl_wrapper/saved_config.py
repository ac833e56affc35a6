"""The settings of a run, in its log folder."""

from __future__ import annotations

from pathlib import Path

from lightning import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from no_time_to_train.files import atomic_write, remove_leftovers


class SavedConfig(SaveConfigCallback):
    """Stores them as Lightning's own callback does, but whole or not at all."""

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
            with atomic_write(path, is_result=False) as file:
                file.write(self.parser.dump(self.config, skip_none=False))
