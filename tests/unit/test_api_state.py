"""What the Python API has in mind after each order of calls, with colours in place of features."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from no_time_to_train.api import ClassInfo, FewShotSegmenter, building
from no_time_to_train.config import EncoderConfig, ModelConfig
from no_time_to_train.errors import InputError
from no_time_to_train.structures import Proposals, Target

SIDE = 12
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


class ColourEncoder:
    """Features are the mean colours of 3 x 3 patches; slow enough for threads to meet."""

    grid, width, patch_size = 3, 3, 4

    def __call__(self, images: Tensor) -> Tensor:
        time.sleep(0.001)
        return F.adaptive_avg_pool2d(images, self.grid).flatten(2).transpose(1, 2)  # (B, 9, 3)


class WholeImage:
    """Proposes one mask, the whole image."""

    image_size = SIDE

    def encode(self, images: Tensor, targets: Sequence[Target]) -> Tensor:
        return images

    def propose(self, features: Tensor) -> Proposals:
        return Proposals(torch.ones(1, SIDE, SIDE), torch.ones(1))


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], FewShotSegmenter]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(building, "build_encoder", lambda config: ColourEncoder())
    monkeypatch.setattr(building, "build_proposer", lambda config, size: WholeImage())
    config = ModelConfig(encoder_cfg=EncoderConfig(img_size=14))
    return lambda: FewShotSegmenter.from_settings(config, device="cpu")


def picture(colour: str) -> Any:
    return np.full((SIDE, SIDE, 3), COLOURS[colour], np.uint8)


def remember(segmenter: FewShotSegmenter, colour: str, name: str) -> None:
    segmenter.remember(picture(colour), np.ones((SIDE, SIDE)), name)


def found(segmenter: FewShotSegmenter) -> dict[str, str] | str:
    """The class of the picture of each colour that some class has, or why there is none."""
    try:
        predictions = {colour: segmenter.segment(picture(colour)) for colour in COLOURS}
    except InputError as error:
        return str(error)
    return {
        colour: prediction.names[0]
        for colour, prediction in predictions.items()
        if len(prediction) and prediction.scores[0] > 0.9
    }


@pytest.fixture
def calls(make: Any) -> dict[str, Callable[[FewShotSegmenter], None]]:
    """The calls of the table; one memory has green crescents and blue coins, one green rings."""
    filled, finalised = make(), make()
    remember(filled, "green", "crescent")
    remember(filled, "blue", "coin")
    filled.save("filled.pth")
    remember(finalised, "green", "ring")
    finalised.finalise()
    finalised.save("finalised.pth")
    return {
        "remember": lambda segmenter: remember(segmenter, "red", "arrow"),
        "finalise": lambda segmenter: segmenter.finalise(),
        "load filled": lambda segmenter: segmenter.load("filled.pth"),
        "load finalised": lambda segmenter: segmenter.load("finalised.pth"),
        "save": lambda segmenter: segmenter.save("saved.pth"),
        "forget": lambda segmenter: segmenter.forget(),
    }


NOTHING: dict[str, str] = {}
ARROW = {"red": "arrow"}
TWO = {"green": "crescent", "blue": "coin"}
RING = {"green": "ring"}

TABLE = [  # first call, second call; which fail; classes at the end; whether they can segment
    ("remember", "remember", "", ARROW, False),
    ("remember", "finalise", "", ARROW, True),
    ("remember", "load filled", "", TWO, False),
    ("remember", "load finalised", "", RING, True),
    ("remember", "save", "", ARROW, False),
    ("finalise", "remember", "1", ARROW, False),
    ("finalise", "finalise", "12", NOTHING, False),
    ("finalise", "load filled", "1", TWO, False),
    ("finalise", "load finalised", "1", RING, True),
    ("finalise", "save", "12", NOTHING, False),
    ("load filled", "remember", "", TWO | ARROW, False),
    ("load filled", "finalise", "", TWO, True),
    ("load filled", "load filled", "", TWO, False),
    ("load filled", "load finalised", "", RING, True),
    ("load filled", "save", "", TWO, False),
    ("load finalised", "remember", "", RING | ARROW, False),
    ("load finalised", "finalise", "", RING, True),
    ("load finalised", "load filled", "", TWO, False),
    ("load finalised", "load finalised", "", RING, True),
    ("load finalised", "save", "", RING, True),
    ("save", "remember", "1", ARROW, False),
    ("save", "finalise", "12", NOTHING, False),
    ("save", "load filled", "1", TWO, False),
    ("save", "load finalised", "1", RING, True),
    ("save", "save", "12", NOTHING, False),
    ("remember", "forget", "", NOTHING, False),
    ("load filled", "forget", "", NOTHING, False),
    ("load finalised", "forget", "", NOTHING, False),
    ("forget", "remember", "", ARROW, False),
    ("forget", "finalise", "2", NOTHING, False),
    ("forget", "load finalised", "", RING, True),
]


def assert_state(segmenter: FewShotSegmenter, classes: dict[str, str], ready: bool) -> None:
    assert segmenter.class_names == list(classes.values())
    now = found(segmenter)
    if ready:
        assert now == classes
    else:
        assert isinstance(now, str)
        assert ("finalise()" if classes else "no classes yet") in now
        if classes:
            segmenter.finalise()
            assert found(segmenter) == classes


@pytest.mark.parametrize(("first", "second", "failing", "classes", "ready"), TABLE)
def test_two_calls__leave_what_the_table_says(
    make: Any,
    calls: Any,
    first: str,
    second: str,
    failing: str,
    classes: dict[str, str],
    ready: bool,
) -> None:
    segmenter = make()
    for number, name in (("1", first), ("2", second)):
        if number in failing:
            with pytest.raises(InputError):
                calls[name](segmenter)
        else:
            calls[name](segmenter)
    if Path("saved.pth").exists():
        again = make()
        again.load("saved.pth")
        assert_state(again, classes, ready)
    assert_state(segmenter, classes, ready)


@pytest.mark.parametrize(
    ("then", "classes", "ready"),
    [
        ("load filled", TWO, False),
        ("load finalised", RING, True),
        ("remember", ARROW, False),
        ("save", ARROW, True),
    ],
)
def test_a_call_after_finalise__replaces_or_adds(
    make: Any, calls: Any, then: str, classes: dict[str, str], ready: bool
) -> None:
    segmenter = make()
    for name in ("remember", "finalise", then):
        calls[name](segmenter)
    assert_state(segmenter, classes, ready)


def test_save__after_a_later_remember_holds_all_examples(make: Any) -> None:
    segmenter = make()
    remember(segmenter, "red", "arrow")
    segmenter.finalise()
    remember(segmenter, "green", "crescent")
    segmenter.save("both.pth")
    again = make()
    again.load("both.pth")
    assert_state(again, {"red": "arrow", "green": "crescent"}, ready=False)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"<html>"])
def test_load__of_a_broken_file_changes_nothing(make: Any, content: bytes) -> None:
    segmenter = make()
    remember(segmenter, "red", "arrow")
    segmenter.finalise()
    Path("broken.pth").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        segmenter.load("broken.pth")
    assert_state(segmenter, ARROW, ready=True)
    remember(segmenter, "green", "crescent")
    assert segmenter.class_names == ["arrow", "crescent"]


def test_load__of_another_encoder_changes_nothing(make: Any, calls: Any) -> None:
    segmenter = make()
    segmenter.load("filled.pth")
    content = torch.load("finalised.pth")
    content["no_time_to_train"]["encoder"] = "dinov2_base"
    torch.save(content, "other.pth")
    with pytest.raises(InputError, match="filled with dinov2_base"):
        segmenter.load("other.pth")
    assert_state(segmenter, TWO, ready=False)


def test_remember__that_fails_adds_no_class(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = make()
    monkeypatch.setattr(
        ColourEncoder, "__call__", lambda self, images: torch.full((len(images), 9, 3), torch.nan)
    )
    with pytest.raises(InputError, match="example 1 of arrow are not finite"):
        remember(segmenter, "red", "arrow")
    assert segmenter.class_names == []
    with pytest.raises(InputError, match="nothing to finalise"):
        segmenter.finalise()


def test_segment__of_an_image_whose_features_are_not_finite_is_an_error(
    make: Any, calls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = make()
    segmenter.load("finalised.pth")
    monkeypatch.setattr(
        ColourEncoder, "__call__", lambda self, images: torch.full((len(images), 9, 3), torch.inf)
    )
    with pytest.raises(InputError, match="features of image 0 are not finite"):
        segmenter.segment(picture("red"))


def test_class_names__cannot_be_changed_from_outside(make: Any) -> None:
    segmenter = make()
    remember(segmenter, "red", "arrow")
    segmenter.class_names.append("coin")
    assert segmenter.class_names == ["arrow"]


def test_threads__lose_no_example(make: Any) -> None:
    segmenter = make()

    def learn(colour: str) -> None:
        for _ in range(10):
            remember(segmenter, colour, "arrow" if colour == "red" else "coin")

    threads = [Thread(target=learn, args=(colour,)) for colour in ("red", "red", "blue")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    index = segmenter.class_names.index("arrow")
    memory = segmenter._segmenter.memory
    assert [len(memory.by_class()[each]) for each in (index, 1 - index)] == [20, 10]


SETTINGS = """
trainer: {accelerator: cpu}
model:
  init_args:
    model_cfg:
      encoder_cfg: {img_size: 14}
      test: {vis_thr: 0.3, colour_by: instance}
    dataset_cfgs:
      fill_memory: {context_ratio: 1.0, orientation: stored, cat_names: "arrow, coin"}
      test: {orientation: stored}
    data_load_cfgs: {batch_size: 2}
"""


@pytest.fixture
def configured(make: Any, monkeypatch: pytest.MonkeyPatch) -> FewShotSegmenter:
    Path("settings.yaml").write_text(SETTINGS)
    return FewShotSegmenter.from_config("settings.yaml")


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The batches that reach the encoder."""
    batches: list[Tensor] = []
    encode = ColourEncoder.__call__

    def listening(self: ColourEncoder, images: Tensor) -> Tensor:
        batches.append(images)
        return encode(self, images)

    monkeypatch.setattr(ColourEncoder, "__call__", listening)
    return batches


def test_from_config__crops_with_the_context_that_it_names(
    configured: FewShotSegmenter, make: Any, encoded: list[Tensor]
) -> None:
    white = np.zeros((SIDE, SIDE), bool)
    white[4:8, 4:8] = True
    image = np.repeat(white[..., None], 3, axis=2).astype(np.uint8) * 255
    for segmenter in (configured, make()):
        segmenter.remember(image, white, "coin")
    # 4 x 4 white pixels in a crop of 8 x 8 with a ratio of 1, of 5 x 5 with that of 0.2
    shares = [float(images.mean()) for images in encoded]
    assert shares == pytest.approx([16 / 64, 16 / 25], abs=0.03)


def test_from_config__takes_the_classes_that_it_names(configured: FewShotSegmenter) -> None:
    remember(configured, "red", "arrow")
    with pytest.raises(InputError, match=r"name is 'ring', .*\(arrow, coin\).*cat_names"):
        remember(configured, "red", "ring")


def test_from_config__reads_pictures_in_the_orientation_that_it_names(
    configured: FewShotSegmenter, make: Any
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    Image.new("RGB", (SIDE, SIDE // 2)).save("turned.jpg", exif=exif)
    stored = np.ones((SIDE // 2, SIDE))
    configured.remember("turned.jpg", stored, "arrow")
    configured.finalise()
    assert configured.segment("turned.jpg").image.shape[:2] == (SIDE // 2, SIDE)
    with pytest.raises(InputError, match=r"the mask of this arrow is \(6, 12\), .*\(12, 6\)"):
        make().remember("turned.jpg", stored, "arrow")


def test_from_config__segments_in_batches_and_draws_from_the_score_that_it_names(
    configured: FewShotSegmenter, encoded: list[Tensor]
) -> None:
    remember(configured, "red", "arrow")
    remember(configured, "blue", "coin")
    configured.finalise()
    encoded.clear()
    predictions = list(configured.segment_all(picture(each) for each in ("red", "blue", "red")))
    assert [len(images) for images in encoded] == [2, 1]
    assert [found.names[0] for found in predictions] == ["arrow", "coin", "arrow"]
    assert {(found.thresholds, found.colour_by) for found in predictions} == {
        ((0.3, 0.3), "instance")
    }


def test_fresh__shares_the_networks_and_not_what_is_remembered(
    make: Callable[[], FewShotSegmenter],
) -> None:
    first = make()
    first.remember(picture("red"), np.ones((SIDE, SIDE)), "red")
    second = first.fresh()
    assert second.class_names == []
    second.remember(picture("blue"), np.ones((SIDE, SIDE)), "blue")
    second.finalise()
    assert second.segment(picture("blue")).names == ["blue"]
    with pytest.raises(InputError, match=r"finalise\(\)"):
        first.segment(picture("red"))
    first.finalise()
    assert first.segment(picture("red")).names == ["red"]
    assert second.class_names == ["blue"]


def test_classes__tell_name_examples_and_threshold(make: Any, calls: Any) -> None:
    segmenter = make()
    assert segmenter.classes == []
    remember(segmenter, "red", "arrow")
    remember(segmenter, "blue", "coin")
    remember(segmenter, "blue", "coin")
    segmenter.set_threshold("coin", 0.8)
    expected = [ClassInfo("arrow", 1, 0.5), ClassInfo("coin", 2, 0.8)]
    assert segmenter.classes == expected
    segmenter.finalise()
    assert segmenter.classes == expected
    segmenter.load("finalised.pth")
    assert segmenter.classes == [ClassInfo("ring", 1, 0.5)]


def test_set_threshold__holds_for_later_predictions_until_the_class_is_gone(make: Any) -> None:
    segmenter = make()
    remember(segmenter, "red", "arrow")
    remember(segmenter, "blue", "coin")
    segmenter.finalise()
    before = segmenter.segment(picture("red"))
    segmenter.set_threshold("coin", 0.8)
    assert before.thresholds == (0.5, 0.5)
    assert segmenter.segment(picture("red")).thresholds == (0.5, 0.8)
    segmenter.set_threshold("coin", None)
    assert segmenter.segment(picture("red")).thresholds == (0.5, 0.5)
    segmenter.set_threshold("coin", 0.8)
    segmenter.forget()
    remember(segmenter, "blue", "coin")
    assert segmenter.classes == [ClassInfo("coin", 1, 0.5)]


def test_set_threshold__decides_what_is_drawn(make: Any) -> None:
    segmenter = make()
    remember(segmenter, "red", "arrow")
    segmenter.finalise()
    found = segmenter.segment(picture("red"))
    assert len(found) == 1 and len(found.above()) == 1
    segmenter.set_threshold("arrow", 1.5)
    found = segmenter.segment(picture("red"))
    assert len(found) == 1 and len(found.above()) == 0


@pytest.mark.parametrize(
    ("name", "threshold", "words"),
    [
        ("ring", 0.5, "^name is 'ring', but the classes are arrow"),
        (None, 0.5, "^name is None"),
        ("arrow", "high", "^threshold is 'high'; give a number"),
        ("arrow", float("nan"), "^threshold is nan"),
    ],
)
def test_set_threshold__an_argument_of_another_kind_is_named(
    make: Any, name: Any, threshold: Any, words: str
) -> None:
    segmenter = make()
    remember(segmenter, "red", "arrow")
    with pytest.raises(InputError, match=words):
        segmenter.set_threshold(name, threshold)
    assert segmenter.classes[0].threshold == 0.5


def test_forget__of_one_class_leaves_the_others_as_they_were(make: Any) -> None:
    segmenter = make()
    for colour, name in (("red", "arrow"), ("green", "crescent"), ("blue", "coin")):
        remember(segmenter, colour, name)
    segmenter.set_threshold("crescent", 0.8)
    segmenter.set_threshold("coin", 0.9)
    segmenter.forget("crescent")
    assert_state(segmenter, {"red": "arrow", "blue": "coin"}, ready=False)
    segmenter.forget("arrow")  # finalised by now
    assert_state(segmenter, {"blue": "coin"}, ready=True)
    assert segmenter.classes == [ClassInfo("coin", 1, 0.9)]
    remember(segmenter, "green", "crescent")
    assert segmenter.classes[1] == ClassInfo("crescent", 1, 0.5)
    assert_state(segmenter, {"blue": "coin", "green": "crescent"}, ready=False)
    segmenter.forget("coin", "crescent")
    assert_state(segmenter, {}, ready=False)


def test_forget__of_a_class_that_was_loaded_finalised(make: Any) -> None:
    first, second = make(), make()
    for colour, name in (("red", "arrow"), ("blue", "coin")):
        remember(first, colour, name)
    first.finalise()
    first.save("two.pth")
    second.load("two.pth")
    second.forget("arrow")
    assert_state(second, {"blue": "coin"}, ready=True)


@pytest.mark.parametrize("name", ["ring", None, 3, ["arrow"], ""])
def test_forget__of_a_class_that_is_not_there_forgets_none(make: Any, name: Any) -> None:
    segmenter = make()
    remember(segmenter, "red", "arrow")
    with pytest.raises(InputError, match=r"^name is .*, but the classes are arrow"):
        segmenter.forget("arrow", name)
    assert segmenter.class_names == ["arrow"]
