from __future__ import annotations

import pytest
import torch

from no_time_to_train.commands import lightning_cli
from no_time_to_train.commands.early_checks import CLASS_READ_HERE, PUBLISHED_CLASS, own_arguments
from no_time_to_train.commands.messages import explain, known_settings
from no_time_to_train.commands.parsing import current_class_paths, read_class_names
from no_time_to_train.config import ClassNames


def test_read_class_names__splits_at_commas_and_strips() -> None:
    assert read_class_names("boat, traffic light") == ClassNames(["boat", "traffic light"])


def test_read_class_names__takes_a_yaml_list() -> None:
    assert read_class_names(["boat", "bird"]) == ("boat", "bird")


def test_read_class_names__refuses_what_yaml_made_of_no() -> None:
    with pytest.raises(ValueError, match="quote it"):
        read_class_names([False, "yes"])


def test_current_class_paths__renames_the_old_package_and_nothing_else() -> None:
    text = "class_path: pytorch_lightning.loggers.CSVLogger  # my_pytorch_lightning.x"
    assert current_class_paths(text) == (
        "class_path: lightning.pytorch.loggers.CSVLogger  # my_pytorch_lightning.x"
    )


def test_own_arguments__are_without_those_of_the_trainer_and_of_printing() -> None:
    typed = "--config a --trainer.devices -5 --trainer.logger=no --trainer.callbacks+=X b"
    typed += " --trainer.a.b c --print_config=comments --trainers 1 --trainer x --seed 3"
    assert own_arguments(typed.split()) == "--config a b --trainers 1 --seed 3".split()


def test_own_arguments__name_the_class_that_is_read_early() -> None:
    assert own_arguments(["--model", PUBLISHED_CLASS]) == ["--model", CLASS_READ_HERE]
    assert own_arguments([f"--model={PUBLISHED_CLASS}2"]) == [f"--model={PUBLISHED_CLASS}2"]


def test_known_settings__hold_every_kind() -> None:
    known = set(known_settings())
    assert {
        "model_cfg.sam2_infer_cfgs.iou_thr",
        "dataset_cfgs.test.cat_names",
        "data_load_cfgs.workers",
        "trainer.devices",
        "out_path",
    } <= known


def test_explain__digs_through_nested_reasons() -> None:
    message = (
        'Parser key "model":\n'
        "  Does not validate against any of the Union subtypes\n"
        "  Subtypes: [<class 'Model'>, <class 'NoneType'>]\n"
        "  Errors:\n"
        "    - Problem with given class_path 'package.Model':\n"
        '        Parser key "model_cfg.length":\n'
        "          Expected a <class 'int'>. Got value: ten\n"
        "    - Expected a <class 'NoneType'>\n"
        "  Given value type: <class 'dict'>\n"
        "  Given value: {'length': 'ten'}"
    )
    assert explain(message) == "model_cfg.length: expected int, got ten"


def test_explain__suggests_the_key_with_the_nearest_path() -> None:
    message = "unrecognized arguments: --dataset_cfgs.test.jsonfile=x"
    assert explain(message).endswith("did you mean dataset_cfgs.test.json_file?")


def test_explain__without_a_near_key_says_where_to_look() -> None:
    assert "--print_config" in explain("unrecognized arguments: --qqqqqq=1")


def test_run__computes_without_denormal_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of 1e-40 is no less than none, and slows a CPU down."""
    products: list[float] = []

    def run(*_: object, **__: object) -> None:
        products.append((torch.tensor(1e-20) * torch.tensor(1e-20)).item())

    monkeypatch.setattr(lightning_cli, "NoTimeToTrainCLI", run)
    try:
        torch.set_flush_denormal(False)
        run()
        lightning_cli.run([])
    finally:
        torch.set_flush_denormal(False)
    assert products[0] > 0
    assert products[1] == 0
