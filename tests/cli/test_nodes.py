"""Two machines, emulated on this one: torchrun and SLURM start the ranks, in place of Lightning."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import ROOT, base, fill, references, segment, targets
from tests.cli.test_two_processes import write_targets

MODULE = "no_time_to_train.pl_wrapper.sam2matcher_pl:Sam2MatcherLightningModel"
FILL = (*references(), "--model.test_mode", "fill_memory", "--out_path", "two.pth")
TEST = (*targets(), "--ckpt_path", "memory.pth", "--export_result", "two.json")
ENDED_SECONDS = 60
SLURM = {
    "SLURM_JOB_NAME": "nodes",
    "SLURM_NTASKS": "2",
    "SLURM_NTASKS_PER_NODE": "1",
    "SLURM_NNODES": "2",
    "SLURM_NODELIST": "127.0.0.1",
    "SLURM_LOCALID": "0",
}


@dataclass
class Node:
    """What was started on one of the machines, and where its messages go."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def end(self) -> int:
        return self.process.wait(ENDED_SECONDS)

    def errors(self) -> list[str]:
        return [line for line in self.err.read_text().splitlines() if line.startswith("error: ")]


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def torchrun(node: int, port: str, per_node: int) -> tuple[list[str], dict[str, str]]:
    """How node 0 or 1 is started, and variables that it needs."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
    command += ["--nproc-per-node", str(per_node), "--node-rank", str(node)]
    return [*command, "--master-addr", "127.0.0.1", "--master-port", port], {}


def srun(node: int, port: str, per_node: int) -> tuple[list[str], dict[str, str]]:
    """The same for the two tasks of a SLURM job; there is no srun here, but what it sets."""
    ids = {"SLURM_PROCID": str(node), "SLURM_NODEID": str(node), "SLURM_JOB_ID": port}
    return [sys.executable], SLURM | ids | {"MASTER_PORT": port}


LAUNCHERS = {"torchrun": torchrun, "srun": srun}


def start(
    launcher: str, *arguments: str, per_node: int = 1, of_node: Mapping[int, Mapping[str, str]] = {}
) -> list[Node]:
    port, nodes = free_port(), []
    trainer = {"accelerator": "cpu", "num_nodes": 2, "devices": per_node, "strategy": "ddp"}
    flags = [word for name in trainer for word in (f"--trainer.{name}", str(trainer[name]))]
    for number in (0, 1):
        command, variables = LAUNCHERS[launcher](number, port, per_node)
        out, err = Path(f"node{number}.out"), Path(f"node{number}.err")
        process = subprocess.Popen(
            [*command, str(ROOT / "run_lightening.py"), "test", *base(), *arguments, *flags],
            env=os.environ
            | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
            | variables
            | dict(of_node.get(number, {})),
            stdout=out.open("wb"),
            stderr=err.open("wb"),
        )
        nodes.append(Node(process, out, err))
    return nodes


def assert_done(nodes: list[Node]) -> None:
    for node in nodes:
        assert node.process.wait(300) == 0, node.err.read_text()[-3000:]


def assert_same_as_one_process(nodes: list[Node]) -> None:
    assert_done(nodes)
    assert segment("--export_result", "one.json").code == 0
    one, two = (json.loads(Path(f"{name}.json").read_text()) for name in ("one", "two"))
    assert one == two
    assert len(one) > 10
    assert nodes[0].out.read_text().count("BBOX RESULTS:") == 1
    assert nodes[1].out.read_text() == ""


@pytest.mark.exhaustive
@pytest.mark.parametrize(("launcher", "per_node"), [("torchrun", 1), ("torchrun", 2), ("srun", 1)])
def test_nodes__find_what_one_process_finds(
    memories_dir: Path, launcher: str, per_node: int
) -> None:
    assert_same_as_one_process(start(launcher, *TEST, per_node=per_node))


@pytest.mark.exhaustive
@pytest.mark.parametrize(("launcher", "per_node"), [("torchrun", 1), ("torchrun", 2), ("srun", 1)])
def test_nodes__remember_what_one_process_remembers(
    photos_dir: Path, launcher: str, per_node: int
) -> None:
    assert_done(start(launcher, *FILL, per_node=per_node))
    assert fill(out_path="one.pth").code == 0
    one, two = (
        torch.load(f"{name}.pth", weights_only=True)["state_dict"] for name in ("one", "two")
    )
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def stop_one(
    launcher: str, stopped: int, number: signal.Signals, *arguments: str, point: str
) -> list[Node]:
    """Send a signal to the rank on a node when it has reached a point, and let all end."""
    reached = Path("reached").absolute()
    paths = f"{Path(__file__).parent / 'stop_points'}{os.pathsep}{ROOT}"
    variables = {"STOP_AT": point, "STOP_FILE": str(reached), "PYTHONPATH": paths}
    nodes = start(launcher, *arguments, of_node={stopped: variables})
    while not reached.exists() and all(node.process.poll() is None for node in nodes):
        time.sleep(0.05)
    assert reached.exists(), "\n".join(node.err.read_text()[-2000:] for node in nodes)
    os.kill(int(reached.read_text()), number)
    return nodes


def check_killed(launcher: str, stopped: int, *arguments: str) -> None:
    nodes = stop_one(launcher, stopped, signal.SIGKILL, *arguments, point=f"{MODULE}.test_step")
    codes = [node.end() for node in nodes]
    assert 0 not in codes
    (sentence,) = nodes[1 - stopped].errors()
    assert f"rank {stopped} has gone without a word" in sentence
    assert nodes[stopped].errors() == []
    assert not Path("two.json").exists() and not Path("two.pth").exists()


def test_two_nodes__a_killed_rank_ends_the_other(memories_dir: Path) -> None:
    check_killed("torchrun", 1, *TEST)


@pytest.mark.exhaustive
@pytest.mark.parametrize("stopped", [0, 1])
@pytest.mark.parametrize("stage", [FILL, TEST], ids=["fill", "test"])
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_nodes__a_killed_rank_ends_the_others(
    memories_dir: Path, launcher: str, stage: tuple[str, ...], stopped: int
) -> None:
    check_killed(launcher, stopped, *stage)


@pytest.mark.exhaustive
@pytest.mark.parametrize("stopped", [0, 1])
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_nodes__bad_data_of_one_is_the_only_message(
    memories_dir: Path, launcher: str, stopped: int
) -> None:
    name = ("coins_bottom.png", "motorcycle_right.jpg")[stopped]  # the first image, the second
    broken = Path("photos/images", name)
    content = broken.read_bytes()[:9000]
    broken.unlink()
    broken.write_bytes(content)
    nodes = start(launcher, *TEST)
    assert 0 not in [node.process.wait(120) for node in nodes]
    (sentence,) = [line for node in nodes for line in node.errors()]
    assert name in sentence
    assert not Path("two.json").exists()


def kept() -> int:
    """Images that are kept by now."""
    files = Path("work_dirs").rglob("unfinished/*/*.jsonl")
    return sum(file.read_bytes().count(b"\n") for file in files)


@pytest.mark.exhaustive
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_nodes__a_time_limit_keeps_what_is_done(memories_dir: Path, launcher: str) -> None:
    write_targets(40)
    nodes = start(launcher, *TEST)
    while kept() < 2 and all(node.process.poll() is None for node in nodes):
        time.sleep(0.02)
    for node in nodes:  # torchrun passes it on
        node.process.terminate()
    codes = [node.end() for node in nodes]
    assert codes == [143, 143] if launcher == "srun" else 0 not in codes
    (sentence,) = [line for node in nodes for line in node.errors()]
    assert "stopped by SIGTERM" in sentence
    assert "--resume" in sentence
    assert 2 <= (before := kept()) < 40
    assert not Path("two.json").exists()

    again = start(launcher, *TEST, "--resume")
    assert_same_as_one_process(again)
    assert f"--resume: {before} of 40 images are there already" in again[0].out.read_text()
