"""Weights that a network cannot take, through the functions that commands and Python share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from no_time_to_train.config import EncoderConfig, ModelConfig
from no_time_to_train.encoders import build_encoder
from no_time_to_train.networks import WeightsError
from no_time_to_train.proposers import build_proposer

ROOT = Path(__file__).resolve().parents[2]
State = dict[Any, Any]


def first(state: State) -> str:
    return next(name for name in state if state[name].is_floating_point())


def change(**makers: Callable[[torch.Tensor], Any]) -> list[Any]:
    """Changes of the first tensor, each with a word of the sentence."""

    def changing(make: Callable[[torch.Tensor], Any]) -> Callable[[State], None]:
        return lambda state: state.update({first(state): make(state[first(state)])})

    return [pytest.param(changing(make), id=word) for word, make in makers.items()]


CHANGES = [
    *change(
        sparse=lambda tensor: tensor.float().to_sparse(),
        meta=lambda tensor: tensor.to("meta"),
        complex=lambda tensor: tensor.to(torch.complex64),
        quantised=lambda tensor: torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8),
        none=lambda tensor: None,
        text=lambda tensor: "weights",
        values=lambda tensor: tensor.tolist(),
        nan=lambda tensor: tensor.float() * float("nan"),
        infinite=lambda tensor: tensor.double() + 1e300,
        transposed=lambda tensor: tensor[None],
        nothing=lambda tensor: tensor[:0],
        repeated=lambda tensor: tensor.new_zeros(1).expand(10**12),
    ),
    pytest.param(lambda state: state.update({0: torch.zeros(1)}), id="integer key"),
    pytest.param(lambda state: state.update({None: torch.zeros(1)}), id="key None"),
    pytest.param(lambda state: state.update({("a",): torch.zeros(1)}), id="tuple as key"),
    pytest.param(lambda state: state.update(inner=state), id="holds itself"),
    pytest.param(lambda state: state.clear(), id="empty"),
]


@pytest.mark.filterwarnings("ignore:.*uantize")
@pytest.mark.parametrize("edit", CHANGES)
@pytest.mark.parametrize("network", ["encoder", "proposer"])
def test_build__weights_that_do_not_fit_are_refused_in_a_sentence(
    tmp_path: Path, network: str, edit: Callable[[State], None]
) -> None:
    file = {"encoder": "dinov2_demo.pth", "proposer": "sam2_hiera_demo.pt"}[network]
    content = torch.load(ROOT / "demo_models" / file, weights_only=True)
    edit(content.get("model", content))
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(WeightsError) as caught:
        build(network, path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 1000


def build(network: str, path: Path) -> Any:
    config = ModelConfig(
        sam2_cfg_file="sam2_hiera_demo.yaml",
        sam2_ckpt_path=str(path),
        encoder_cfg=EncoderConfig(name="dinov2_demo", img_size=252),
        encoder_ckpt_path=str(path),
    )
    return build_encoder(config) if network == "encoder" else build_proposer(config)


@pytest.mark.parametrize("network", ["encoder", "proposer"])
def test_build__what_is_no_file_is_refused(tmp_path: Path, network: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in ((tmp_path, "is a folder"), (tmp_path / "pipe", "is a named pipe")):
        with pytest.raises(WeightsError, match=words):
            build(network, path)


@pytest.mark.parametrize("network", ["encoder", "proposer"])
def test_build__the_demo_weights_fit(network: str) -> None:
    file = {"encoder": "dinov2_demo.pth", "proposer": "sam2_hiera_demo.pt"}[network]
    assert build(network, ROOT / "demo_models" / file)
