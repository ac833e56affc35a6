"""Settings that no person types: every one is refused in a sentence, or gets to the next check."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from no_time_to_train.config import ClassNames, DataLoadConfig, DatasetsConfig, ModelConfig
from no_time_to_train.errors import InputError
from tests.cli.conftest import CONFIGS, ROOT, Outcome, base, run_test
from tests.cli.test_wrong_settings import assert_one_line

VALUES = ("", "nan", ".nan", "1e400", "1" + "0" * 5000, "-1", "null", "[]", "{}", "\0", "x" * 5000)
BEYOND = {
    "large": 10**20,
    "5000 digits": 10**5000,
    "negative": -(10**5000),
    "nan": float("nan"),
    "inf": float("inf"),
}
GROUPS = {
    "model_cfg": ModelConfig,
    "dataset_cfgs": DatasetsConfig,
    "data_load_cfgs": DataLoadConfig,
}


def leaves(prefix: str, config: type) -> Iterator[tuple[str, type, str, Any]]:
    """Dotted name, class, field and type of every setting."""
    for name, kind in get_type_hints(config).items():
        if dataclasses.is_dataclass(kind):
            yield from leaves(f"{prefix}.{name}", kind)
        else:
            yield f"{prefix}.{name}", config, name, kind


LEAVES = [leaf for name, config in GROUPS.items() for leaf in leaves(name, config)]
NUMBERS = [(config, name) for _, config, name, kind in LEAVES if kind in (int, float)]
KINDS = {str(kind): name for name, _, _, kind in reversed(LEAVES) if "Literal" not in str(kind)}
KINDS["Literal"] = "model_cfg.compute_cfg.precision"


def assert_accepted_or_one_line(outcome: Outcome) -> None:
    if outcome.code:
        assert_one_line(outcome)
        assert len(outcome.err) < 2000


def test_leaves__are_all_there() -> None:
    assert len(LEAVES) > 35
    assert {str(int), str(float), str(bool), str(str), str(ClassNames | None)} <= set(KINDS)


@pytest.mark.parametrize(("config", "name"), NUMBERS, ids=[name for _, name in NUMBERS])
@pytest.mark.parametrize("value", BEYOND.values(), ids=list(BEYOND))
def test_number__beyond_its_bounds_is_refused(config: type, name: str, value: float) -> None:
    with pytest.raises(InputError, match=name) as caught:
        config(**{name: value})
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("leaf", KINDS.values())
def test_setting__of_each_type_takes_or_refuses_any_text(photos_dir: Path, leaf: str) -> None:
    for value in VALUES:
        flag = f"--model.init_args.{leaf}"
        assert_accepted_or_one_line(run_test(*base(), flag, value, "--print_config"))


@pytest.mark.exhaustive
@pytest.mark.parametrize("leaf", [name for name, *_ in LEAVES])
def test_setting__each_takes_or_refuses_any_text(photos_dir: Path, leaf: str) -> None:
    for value in VALUES:
        flag = f"--model.init_args.{leaf}"
        assert_accepted_or_one_line(run_test(*base(), flag, value, "--print_config"))


def mutated_overlay(number: int) -> bytes:
    """A published config with a few pieces overwritten, inserted or deleted."""
    generator = random.Random(number)
    data = bytearray((ROOT / CONFIGS[0]).read_bytes())
    pieces = (b"", b": ", b"- ", b"*a ", b"&a ", b"[", b"{", b"\n", b"\t", b"\xff", b"1: ", b"!!x ")
    for _ in range(generator.randint(1, 4)):
        at = generator.randrange(len(data))
        data[at : at + generator.randint(0, 6)] = generator.choice(pieces)
    return bytes(data)


def check_overlays(numbers: range) -> int:
    refused = 0
    for number in numbers:
        Path("mutant.yaml").write_bytes(mutated_overlay(number))
        outcome = run_test(*base(), "--config", "mutant.yaml", "--print_config")
        assert_accepted_or_one_line(outcome)
        refused += outcome.code == 2
    return refused


def test_overlays__mutated_are_accepted_or_refused(photos_dir: Path) -> None:
    assert 10 < check_overlays(range(30)) < 30


@pytest.mark.exhaustive
def test_overlays__mutated_in_many_ways(photos_dir: Path) -> None:
    assert 250 < check_overlays(range(500)) < 500
