"""Several devices: who reads what, how it comes together in data set order, and how ranks end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch.distributed
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector
from torch.utils.data import Dataset, DistributedSampler

from no_time_to_train import rank_links, termination
from no_time_to_train.errors import InputError

Key = TypeVar("Key")
Value = TypeVar("Value")


class RankSampler(DistributedSampler[Any]):
    """Every rank's share of a data set, without the padding that makes shares equally long.

    Rank r reads samples r, r + W, r + 2W, ... A rank that would have none (more ranks than
    samples) reads the first sample again, since Lightning skips the hooks of a rank without data;
    gathering drops the repetition.
    """

    def __init__(self, dataset: Dataset[Any], world_size: int, rank: int) -> None:
        super().__init__(dataset, num_replicas=world_size, rank=rank, shuffle=False)
        size = len(dataset)  # type: ignore[arg-type]
        self.own = list(range(rank, size, world_size)) or [0]

    def __iter__(self) -> Iterator[int]:
        return iter(self.own)

    def __len__(self) -> int:
        return len(self.own)


class NoSignalHandlers(_SignalConnector):
    """Lightning's handlers end a test with exit code 0, and store checkpoints to requeue jobs."""

    def register_signal_handlers(self) -> None:
        """Leave the handlers of this process as they are."""


class RankLauncher(_SubprocessScriptLauncher):
    """Starts the other ranks as Lightning does; all end when one of them fails."""

    def _call_children_scripts(self) -> None:
        os.environ[termination.RANK_ZERO_PID] = str(os.getpid())
        super()._call_children_scripts()
        termination.watch_ranks(self.procs)
        self.procs = []  # leaves none to Lightning's observer, which would kill rank 0 unasked


class LinkedRanks(Callback):
    """Connects ranks that Lightning has not started as children of rank 0, see `rank_links`."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Connect them; Lightning calls this on every rank once they have met.

        Raises:
            InputError: They cannot reach each other.
        """
        children = trainer.num_nodes == 1 and termination.RANK_ZERO_PID in os.environ
        if trainer.world_size > 1 and not children:
            termination.watch_links(_link(trainer.global_rank, trainer.world_size))


def _link(rank: int, world_size: int) -> rank_links.RankLinks:
    reception = rank_links.Reception(os.environ["MASTER_ADDR"]) if rank == 0 else None
    invitations = [reception.invitation if reception else None]
    with _other_ranks_alive():
        torch.distributed.broadcast_object_list(invitations)
    invitation = invitations[0]
    assert invitation is not None
    try:
        if reception:
            return reception.await_all(world_size)
        return rank_links.join(invitation, rank)
    except OSError as error:
        raise InputError(
            f"rank {rank} and the others do not reach each other at {invitation.host}:"
            f"{invitation.port} ({error}); the machines of a run must let each other through"
        ) from error


def end_ranks_together(trainer: Trainer) -> None:
    """Let signals and failing ranks end the trainer's processes as `termination` describes."""
    trainer._signal_connector = NoSignalHandlers(trainer)
    if termination.is_installed():
        trainer.callbacks.append(LinkedRanks())  # type: ignore[attr-defined]
    launcher = trainer.strategy.launcher
    if isinstance(launcher, _SubprocessScriptLauncher) and termination.is_installed():
        trainer.strategy._launcher = RankLauncher(
            launcher.cluster_environment, launcher.num_processes, launcher.num_nodes
        )


def gather_everywhere(local: Mapping[Key, Value]) -> dict[Key, Value]:
    """Give every rank the entries of all ranks, sorted by key.

    Args:
        local: What this rank has; a key that several ranks have must mean the same.

    Raises:
        InputError: Another rank has failed.
    """
    if _single():
        return _in_order([local])
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    with _other_ranks_alive():
        torch.distributed.all_gather_object(parts, dict(local))
    return _in_order(parts)


def gather_to_first(local: Mapping[Key, Value]) -> dict[Key, Value]:
    """Give rank 0 the entries of all ranks, sorted by key; the others get an empty dict.

    Args:
        local: What this rank has; a key that several ranks have must mean the same.

    Raises:
        InputError: Another rank has failed.
    """
    if _single():
        return _in_order([local])
    first = torch.distributed.get_rank() == 0
    parts: list[Any] | None = [None] * torch.distributed.get_world_size() if first else None
    with _other_ranks_alive():
        torch.distributed.gather_object(dict(local), parts)
    return _in_order(parts or [])


@contextmanager
def _other_ranks_alive() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise InputError(
            "another process of this run has stopped; its own message says why"
        ) from error


def _single() -> bool:
    return not (torch.distributed.is_available() and torch.distributed.is_initialized())


def _in_order(parts: list[Any]) -> dict[Any, Any]:
    together = {key: value for part in parts for key, value in part.items()}
    return {key: together[key] for key in sorted(together)}
