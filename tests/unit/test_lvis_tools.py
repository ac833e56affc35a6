"""The published tools for LVIS: file names, and masks for minival."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.dataset import lvis_add_filename, lvis_fix_minival_segm, lvis_images
from no_time_to_train.dataset.lvis_documents import add_coco_fields
from no_time_to_train.errors import InputError
from tests.miniatures import lvis
from tests.unit.coco_files import SQUARE, annotation, write_json
from tests.unit.scripts import run_script

TRIANGLE = [[0, 0, 20, 0, 20, 20]]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the data sets, with the miniature in it."""
    lvis.write(tmp_path)
    monkeypatch.setenv("DATASETS_ROOT", str(tmp_path))
    return tmp_path


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_scripts__bring_the_official_files_into_the_published_form(data: Path) -> None:
    for script in ("lvis_add_filename.py", "lvis_fix_minival_segm.py"):
        done = run_script(script, cwd=data, list_imports=True, DATASETS_ROOT=".")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith("loaded: []\n")
    assert done.stdout.splitlines()[:2] == [
        "3 of 3 masks found by annotation id",
        "lvis/lvis_v1_minival.json: 2 images, 3 annotations",
    ]
    val, minival = (read(data / "lvis" / f"lvis_v1_{name}.json") for name in ("val", "minival"))
    names = [f"{number:012d}.jpg" for number in (11, 12, 13, 14)]
    assert [image["file_name"] for image in val["images"]] == names
    assert {each["iscrowd"] for each in val["annotations"]} == {0}
    assert minival["annotations"] == val["annotations"][:3]
    original = read(data / "lvis" / "original" / "lvis_v1_val.json")
    assert list(original) == list(val)
    for key in ("info", "categories"):
        assert val[key] == original[key]
    for before, after in zip(original["images"], val["images"], strict=True):
        assert after == {**before, "file_name": after["file_name"]}


def test_annotations__are_the_same_from_the_original_files(data: Path) -> None:
    lvis_add_filename.main([])
    for name in ("lvis_v1_train.json", "lvis_v1_val.json"):
        before = CocoAnnotations.read(data / "lvis" / "original" / name)
        after = CocoAnnotations.read(data / "lvis" / name)
        assert before.images == after.images
        assert before.annotations == after.annotations


def test_add_filename__takes_what_is_there_and_says_what_is_not(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = data / "lvis" / "original"
    (folder / "lvis_v1_train.json").unlink()
    (folder / "lvis_v1_minival_just_bbox.json").rename(
        folder / "lvis_v1_minival_inserted_image_name.json"
    )
    lvis_add_filename.main([])
    assert caplog.messages == [f"{folder} has no lvis_v1_train.json"]
    assert sorted(path.name for path in (data / "lvis").glob("*.json")) == [
        "lvis_v1_minival_inserted_image_name.json",
        "lvis_v1_val.json",
    ]


def test_add_filename__takes_those_that_are_named(data: Path) -> None:
    lvis_add_filename.main(["lvis_v1_val.json"])
    assert [path.name for path in (data / "lvis").glob("*.json")] == ["lvis_v1_val.json"]
    with pytest.raises(InputError, match=r"original has no val\.json; put the files of LVIS there"):
        lvis_add_filename.main(["lvis_v1_train.json", "val.json"])
    assert not (data / "lvis" / "lvis_v1_train.json").exists()


def test_add_coco_fields__a_url_wins_over_a_name_with_folders(tmp_path: Path) -> None:
    named = {"id": 1, "file_name": "val2017/1.jpg"}
    images = [{**named, "coco_url": "http://host/val2017/2.jpg"}, dict(named)]
    add_coco_fields({"images": images, "annotations": []}, tmp_path)
    assert [image["file_name"] for image in images] == ["2.jpg", "val2017/1.jpg"]


WRONG_ORIGINALS = {
    "nothing": (None, r"original has no lvis_v1_train\.json and no .*name their folder"),
    "no json": ("{", r"lvis_v1_val\.json: the json is cut off after 1 characters"),
    "a list": ("[]", r"lvis_v1_val\.json: expected an object, got a list"),
    "no images": ("{}", r'lvis_v1_val\.json: "images" must be a list of objects'),
    "no name": (
        '{"images": [{"id": 1}], "annotations": [], "categories": []}',
        r'lvis_v1_val\.json: entry 0 of "images": "file_name" must be the name',
    ),
}


@pytest.mark.parametrize(("text", "message"), WRONG_ORIGINALS.values(), ids=list(WRONG_ORIGINALS))
def test_add_filename__says_what_is_wrong(tmp_path: Path, text: str | None, message: str) -> None:
    folder = tmp_path / "original"
    folder.mkdir()
    if text is not None:
        (folder / "lvis_v1_val.json").write_text(text)
    with pytest.raises(InputError, match=message):
        lvis_add_filename.main(["--folder", str(folder)])
    assert [path.name for path in tmp_path.iterdir()] == ["original"]


def test_add_filename__does_not_write_over_the_original(data: Path) -> None:
    folder = data / "lvis" / "original"
    with pytest.raises(InputError, match="would replace the original"):
        lvis_add_filename.main(["--out-dir", str(folder)])


def fixed(folder: Path, minival: list[dict], val: list[dict], **changes: Any) -> dict[str, Any]:
    """What the tool makes of two lists of annotations."""
    images = [{"id": key, "coco_url": f"http://host/{key}.jpg"} for key in (3, 7)]
    rest = {"images": images, "categories": [{"id": 9, "name": "boat"}, {"id": 16, "name": "bird"}]}
    paths = [
        write_json(folder, rest | changes | {"annotations": minival}, "minival.json"),
        write_json(folder, rest | {"annotations": val}, "val.json"),
        folder / "out.json",
    ]
    options = zip(("--minival", "--val", "--out"), map(str, paths), strict=True)
    lvis_fix_minival_segm.main([word for option in options for word in option])
    return read(paths[-1])


def boxed(number: int, image_id: int, category_id: int, **changes: Any) -> dict:
    return annotation(number, image_id, category_id, **{"segmentation": None, **changes})


def test_fix_minival__looks_masks_up_by_id_and_not_by_position(tmp_path: Path) -> None:
    val = [annotation(40, 3, 9, segmentation=TRIANGLE), annotation(0, 7, 9), annotation(1, 7, 16)]
    done = fixed(tmp_path, [boxed(0, 7, 9), boxed(40, 3, 9)], val)
    assert [each["segmentation"] for each in done["annotations"]] == [SQUARE, TRIANGLE]


def test_fix_minival__ids_of_other_instances_are_counted_and_boxes_tell(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    val = [
        annotation(1, 7, 9, bbox=[30, 10, 10, 10], segmentation=TRIANGLE),
        annotation(2, 7, 9),
        annotation(3, 3, 9),
    ]
    minival = [
        boxed(1, 7, 9, bbox=[10.4, 10, 10, 10]),  # the box of 2, rounded otherwise
        boxed(2, 7, 16),  # another class
        boxed(3, 3, 9, bbox=[10, 10, 12, 10]),  # another box
        boxed(9, 7, 9, bbox=[30, 10, 10, 10]),  # an id that val does not have
    ]
    with caplog.at_level("INFO"):
        done = fixed(tmp_path, minival, val)
    masks = [each["segmentation"] for each in done["annotations"]]
    assert masks == [SQUARE, None, None, TRIANGLE]
    assert "0 of 4 masks found by annotation id" in caplog.messages
    assert caplog.messages[-2] == (
        f"4 ids belong to another image, category or box in {tmp_path}/val.json, or to nothing: "
        "2 of these were found by their box, 2 have no mask"
    )


def test_fix_minival__warns_of_repeated_ids_and_finds_both(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    val = [annotation(1, 7, 9), annotation(2, 3, 9, segmentation=TRIANGLE)]
    done = fixed(tmp_path, [boxed(1, 7, 9), boxed(1, 3, 9)], val)
    assert [each["segmentation"] for each in done["annotations"]] == [SQUARE, TRIANGLE]
    assert any("1 annotations repeat the id" in message for message in caplog.messages)


def test_fix_minival__masks_of_its_own_stay(tmp_path: Path) -> None:
    val = [annotation(1, 7, 9), annotation(2, 3, 9)]
    done = fixed(tmp_path, [annotation(1, 7, 9, segmentation=TRIANGLE), boxed(2, 3, 9)], val)
    assert [each["segmentation"] for each in done["annotations"]] == [TRIANGLE, SQUARE]


def test_fix_minival__refuses_a_val_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"val\.json has none of the 1 annotations of .*minival"):
        fixed(tmp_path, [boxed(1, 7, 9)], [annotation(1, 3, 9)])
    assert not (tmp_path / "out.json").exists()


def test_fix_minival__takes_class_lists_and_frequencies_from_val(data: Path) -> None:
    minival_path = data / "lvis" / "original" / "lvis_v1_minival_just_bbox.json"
    content = read(minival_path)
    for image in content["images"]:
        del image["neg_category_ids"]
    content["images"][1]["not_exhaustive_category_ids"] = [5]
    content["categories"] = [
        {"id": each["id"], "name": each["name"]} for each in content["categories"]
    ]
    minival_path.write_text(json.dumps(content))
    lvis_fix_minival_segm.main([])
    done = CocoAnnotations.read(data / "lvis" / "lvis_v1_minival.json")
    val = CocoAnnotations.read(data / "lvis" / "original" / "lvis_v1_val.json")
    assert done.categories == val.categories
    assert done.images[11] == val.images[11]
    assert done.images[12].neg_category_ids == ()
    assert done.images[12].not_exhaustive_category_ids == (5,)


@pytest.mark.parametrize(
    "name", ["lvis_v1_minival_inserted_image_name.json", "lvis_v1_minival.json"]
)
def test_fix_minival__needs_no_val_where_masks_are_there(data: Path, name: str) -> None:
    folder = data / "lvis" / "original"
    (folder / "lvis_v1_minival_just_bbox.json").unlink()
    (folder / "lvis_v1_val.json").rename(folder / name)
    lvis_fix_minival_segm.main([])
    content = read(folder / name)
    add_coco_fields(content, folder)
    assert read(data / "lvis" / "lvis_v1_minival.json") == content


def test_fix_minival__leaves_a_complete_file_as_it_is(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = data / "lvis" / "lvis_v1_minival.json"
    (data / "lvis" / "original" / "lvis_v1_val.json").rename(path)
    (data / "lvis" / "original" / "lvis_v1_minival_just_bbox.json").unlink()
    before = path.stat()
    with caplog.at_level("INFO"):
        lvis_fix_minival_segm.main([])
    assert caplog.messages == [f"{path} has masks already"]
    assert path.stat() == before


def test_fix_minival__says_where_it_looked(data: Path) -> None:
    (data / "lvis" / "original" / "lvis_v1_val.json").unlink()
    with pytest.raises(InputError, match=r"none of .*/lvis/lvis_v1_val\.json, .*by --val"):
        lvis_fix_minival_segm.main([])


def test_fix_minival__does_not_write_over_boxes(data: Path) -> None:
    path = data / "lvis" / "lvis_v1_minival.json"
    (data / "lvis" / "original" / "lvis_v1_minival_just_bbox.json").rename(path)
    with pytest.raises(InputError, match="would replace --minival"):
        lvis_fix_minival_segm.main([])


def coco_with(folder: Path, **images: bytes) -> Path:
    for part, content in images.items():
        (folder / "coco" / part).mkdir(parents=True)
        (folder / "coco" / part / f"{part}.jpg").write_bytes(content)
    return folder / "coco"


def test_lvis_images__both_parts_in_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASETS_ROOT", str(tmp_path))
    coco = coco_with(tmp_path, train2017=b"a", val2017=b"b")
    lvis_images.main([])
    lvis_images.main([str(coco)])
    links = sorted((coco / "allimages").iterdir())
    assert [path.read_bytes() for path in links] == [b"a", b"b"]
    assert all(path.is_symlink() for path in links)


def test_lvis_images__says_what_is_missing(tmp_path: Path) -> None:
    coco = coco_with(tmp_path, val2017=b"b")
    with pytest.raises(InputError, match="train2017 is no folder; LVIS has images of both"):
        lvis_images.main([str(coco)])
    assert not (coco / "allimages").exists()
