"""The Python API, on the photographs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
import yaml
from PIL import Image

from no_time_to_train.api import FewShotSegmenter
from no_time_to_train.coco.annotations import CocoAnnotations, rasterise
from no_time_to_train.errors import InputError
from no_time_to_train.models.mask_ops import mask_boxes
from tests.cli.conftest import CONFIGS, ROOT, segment

COINS = "photos/images/coins_top.png"


@pytest.fixture
def few_prompts(photos_dir: Path) -> Path:
    """An overlay, so that a test takes a second."""
    path = photos_dir / "few_prompts.yaml"
    settings = {"model_cfg": {"sam2_infer_cfgs": {"points_per_side": 6}}}
    path.write_text(yaml.safe_dump({"model": {"init_args": settings}}))
    return path


@pytest.fixture
def segmenter(few_prompts: Path) -> FewShotSegmenter:
    configs = [ROOT / name for name in CONFIGS]
    return FewShotSegmenter.from_config(*configs, few_prompts, device="cpu")


def coin() -> npt.NDArray[np.bool_]:
    annotations = CocoAnnotations.read("photos/annotations/custom_references_with_segm.json")
    entry = next(each for each in annotations.annotations if each.id == 1)
    return rasterise(entry, annotations.images[entry.image_id])


def test_from_config__merges_overlays(segmenter: FewShotSegmenter) -> None:
    assert segmenter._segmenter.settings.points_per_side == 6
    assert segmenter._segmenter.settings.nms_thr == 0.5
    assert segmenter._segmenter.memory.encoder.name == "dinov2_demo"


def test_from_config__a_misspelt_key_is_named(photos_dir: Path) -> None:
    Path("wrong.yaml").write_text("model: {init_args: {model_cfg: {sam2_cfg: x}}}")
    with pytest.raises(InputError, match="sam2_cfg"):
        FewShotSegmenter.from_config("wrong.yaml")


def test_three_verbs__from_file_image_and_array(segmenter: FewShotSegmenter) -> None:
    mask = coin()
    segmenter.remember(COINS, mask, "coin")
    picture = Image.open(COINS)
    segmenter.remember(picture, mask.astype(np.uint8) * 255, "coin")
    segmenter.remember(np.asarray(picture.convert("RGB")), ~mask, "cloth")
    segmenter.finalise()
    assert segmenter.class_names == ["coin", "cloth"]
    found = segmenter.segment("photos/images/coins_bottom.png")
    count = len(found)
    assert found.masks.shape == (count, 215, 384)
    assert found.boxes.shape == (count, 4)
    assert set(found.names) <= {"coin", "cloth"}
    assert sorted(found.scores.tolist(), reverse=True) == found.scores.tolist()
    assert [record["image_id"] for record in found.to_coco(image_id=5)] == [5] * count
    assert {record["category_id"] for record in found.to_coco()} <= {1, 2}
    json.dumps(found.to_coco())
    assert found.draw().size == (384, 215)


def test_segment_many__finds_what_segment_finds(segmenter: FewShotSegmenter) -> None:
    segmenter.remember(COINS, coin(), "coin")
    segmenter.remember("photos/images/motorcycle_left.jpg", (150, 60, 440, 370), "motorcycle")
    segmenter.finalise()
    paths = ["photos/images/coins_bottom.png", COINS]
    together = list(segmenter.segment_many(paths, batch_size=2))
    for path, found in zip(paths, together, strict=True):
        alone = segmenter.segment(path)
        assert found.source == Path(path)
        assert found.names[:5] == alone.names[:5]
        assert found.boxes[:5].tolist() == alone.boxes[:5].tolist()
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-4)


def test_predictions__are_drawn_exported_and_thinned_out(segmenter: FewShotSegmenter) -> None:
    segmenter.remember(COINS, coin(), "coin")
    segmenter.finalise()
    segmenter.set_threshold("coin", 0.6)
    found = segmenter.segment(COINS)
    kept = found.above()
    assert 0 < len(kept) < len(found)
    assert kept.scores.min() >= 0.6 > found[len(kept)].score
    assert torch.equal(mask_boxes(found.masks), found.boxes)
    assert np.array_equal(np.asarray(found.draw()), np.asarray(kept.draw(0)))
    assert kept.to_supervision().area.tolist() == [each.area for each in kept]
    kept.to_labelme("found.json")
    assert Path(json.loads(Path("found.json").read_text())["imagePath"]).samefile(COINS)


def test_save_and_load__finalised_or_not_find_the_same(
    segmenter: FewShotSegmenter, few_prompts: Path
) -> None:
    segmenter.remember(COINS, coin(), "coin")
    segmenter.save("filled.pth")
    segmenter.finalise()
    segmenter.save("memory.pth")
    expected = segmenter.segment("photos/images/coins_bottom.png").to_coco()
    for path in ("filled.pth", "memory.pth"):
        other = FewShotSegmenter.from_config(
            *(ROOT / name for name in CONFIGS), few_prompts, device="cpu"
        )
        other.load(path)
        if path == "filled.pth":
            other.finalise()
        assert other.class_names == ["coin"]
        assert other.segment("photos/images/coins_bottom.png").to_coco() == expected


def test_saved_memory__is_read_by_the_command_line(segmenter: FewShotSegmenter) -> None:
    segmenter.remember("photos/images/motorcycle_left.jpg", np.ones((400, 592)), "motorcycle")
    segmenter.remember(COINS, coin(), "coin")
    segmenter.finalise()
    segmenter.save("memory.pth")
    outcome = segment()
    assert outcome.code == 0, outcome.err


def test_mistakes__are_sentences(segmenter: FewShotSegmenter) -> None:
    with pytest.raises(InputError, match="nothing to finalise"):
        segmenter.finalise()
    with pytest.raises(InputError, match="no classes yet"):
        segmenter.segment(COINS)
    with pytest.raises(InputError, match="no memory to save"):
        segmenter.save("x.pth")
    with pytest.raises(InputError, match="same size"):
        segmenter.remember(COINS, np.ones((3, 3)), "coin")
    with pytest.raises(InputError, match="no pixel"):
        segmenter.remember(COINS, np.zeros((88, 384)), "coin")
