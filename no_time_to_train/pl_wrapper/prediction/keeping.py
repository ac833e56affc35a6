"""What is found is written at once, picture by picture; signals end the run between two."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lightning import Callback, LightningModule, Trainer

from no_time_to_train import stepwise
from no_time_to_train.dataset.picture_stamps import FileStamp
from no_time_to_train.dataset.pictures import OpenedPicture
from no_time_to_train.distributed import gather_everywhere
from no_time_to_train.errors import InputError
from no_time_to_train.exports.picture_results import picture_result
from no_time_to_train.pl_wrapper.background_writer import BackgroundWriter
from no_time_to_train.pl_wrapper.journal import Journal, Payload
from no_time_to_train.pl_wrapper.prediction.job import PictureEntry
from no_time_to_train.pl_wrapper.prediction.picture_files import PictureFiles
from no_time_to_train.pl_wrapper.resumption import resuming_command
from no_time_to_train.structures import BadImage, Prediction

if TYPE_CHECKING:
    from no_time_to_train.pl_wrapper.prediction.module import PicturePrediction

logger = logging.getLogger(__name__)


class Keeping(Callback):
    """Writes the files of each picture, and then its line, in a thread of its own.

    Args:
        module: Has the job, and the pictures of this rank.
    """

    def __init__(self, module: PicturePrediction) -> None:
        self._module = module
        self._writer = BackgroundWriter()
        self._journal: Journal | None = None
        self._files: PictureFiles | None = None
        self.describe: Callable[[], str] = lambda: ""
        """What of the run is kept by now, for the sentence at an early end."""

    # --- Called for each picture.

    def keep(self, picture: OpenedPicture, prediction: Prediction) -> None:
        """Write what was found, later."""
        self._writer.call(self._write, picture, prediction)

    def keep_bad(self, picture: BadImage) -> None:
        """Put down that a picture cannot be read, later."""
        entry = self._module.entries[picture.index]
        stamp = FileStamp.of(self._module.job.root / entry.file_name)
        line = {"bad": picture.reason, **_about(entry, stamp), "file_name": picture.file_name}
        self._writer.call(self._write_bad, entry, line)

    def _write(self, picture: OpenedPicture, prediction: Prediction) -> None:
        target, entry = picture.target, self._module.entries[picture.target.index]
        size, threshold = target.original_size, self._module.job.threshold
        result = picture_result(prediction, entry.index + 1, picture.file_name, size, threshold)
        assert self._files is not None
        self._files.write(entry.output, result, prediction, picture.pixels)
        line = {"bad": None, **_about(entry, picture.stamp), "result": result.to_json()}
        self._append(entry.index, line)

    def _write_bad(self, entry: PictureEntry, line: Payload) -> None:
        assert self._files is not None
        self._files.remove(entry.output)  # of when it could be read
        self._append(entry.index, line)

    def _append(self, index: int, payload: Payload) -> None:
        assert self._journal is not None
        self._journal.append(index, payload)

    # --- Lightning calls these on every rank.

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the journal of this rank."""
        module = self._module
        assert module.run_folder is not None
        self._files = PictureFiles(module.job, module.class_names)
        self._journal = Journal(module.run_folder, trainer.global_rank)
        stepwise.describe_kept(self.describe)
        stepwise.begin()

    def on_predict_batch_start(self, *_: Any) -> None:
        """End here where a signal came while the batch was read."""
        self._stop_where_wanted()

    def on_predict_batch_end(self, *_: Any) -> None:
        """End here where a signal came meanwhile."""
        self._stop_where_wanted()

    def _stop_where_wanted(self) -> None:
        if stepwise.stop_wanted():
            self._writer.finish()
            if self._journal is not None:
                self._journal.flush()
            stepwise.stop_here()

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close it, and wait until all ranks have: the tables are made of what they wrote."""
        self._writer.finish()
        self._close()
        stepwise.end()
        gather_everywhere({trainer.global_rank: None})

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Say what the run leaves for --resume."""
        with suppress(Exception):  # there is one already, perhaps the same
            self._writer.finish()
        with suppress(InputError):
            self._close()
        stepwise.end()
        if text := self.describe():
            logger.info("%s", text)

    def _close(self) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()


def how_to_go_on() -> str:
    """The command that takes up what is kept."""
    return f"go on with: {resuming_command() or 'the same command and --resume'}"


def _about(entry: PictureEntry, stamp: FileStamp) -> dict[str, Any]:
    return {"file_name": entry.file_name, "output": entry.output, **stamp._asdict()}
