"""The example data set, made from a COCO tree of thirteen small images; the server is a folder."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.errors import InputError
from scripts import make_custom_dataset

REFERENCES = {"bird": 429819, "boat": 101435}
TARGETS = [98636, 361948, 456065, 42279, 517410, 439274, 407180, 459673, 481301, 460598]
UNUSED = 7


def entry(key: int, image_id: int, category_id: int, size: int, **fields) -> dict:
    box = [4, 6, size, size]
    polygon = [[4, 6, 4 + size, 6, 4, 6 + size]]
    annotation = {"id": key, "image_id": image_id, "category_id": category_id, "bbox": box}
    return annotation | {"segmentation": polygon, "area": size**2 / 2, "iscrowd": 0} | fields


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data sets with COCO in it; every image is on disk."""
    images = [*REFERENCES.values(), *TARGETS, UNUSED]
    annotations = [
        entry(1, 429819, 16, 8),
        entry(2, 429819, 16, 20),
        entry(3, 429819, 16, 30, iscrowd=1, segmentation={"size": [120, 160], "counts": [19200]}),
        entry(4, 429819, 9, 25),
        entry(5, 101435, 9, 90),
        entry(6, 98636, 16, 10),
        entry(7, 98636, 1, 10),
        entry(8, 460598, 9, 10),
        entry(9, UNUSED, 9, 10),
    ]
    document = {
        "images": [
            {"id": key, "file_name": f"{key:012d}.jpg", "height": 120, "width": 160}
            for key in images
        ],
        "annotations": annotations,
        "categories": [
            {"id": key, "name": name} for key, name in ((16, "bird"), (1, "person"), (9, "boat"))
        ],
    }
    (tmp_path / "coco" / "annotations").mkdir(parents=True)
    (tmp_path / "coco" / "train2017").mkdir()
    path = tmp_path / "coco" / "annotations" / "instances_train2017.json"
    path.write_text(json.dumps(document))
    for key in images:
        pixels = np.full((120, 160, 3), 128, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "coco" / "train2017" / f"{key:012d}.jpg")
    monkeypatch.setenv("DATASETS_ROOT", str(tmp_path))
    return tmp_path


def made(root: Path) -> set[str]:
    folder = root / "my_custom_dataset"
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_make_custom_dataset__writes_the_published_layout(root: Path) -> None:
    make_custom_dataset.main([])
    images = {f"images/{key:012d}.jpg" for key in (*REFERENCES.values(), *TARGETS)}
    assert made(root) == images | {
        "annotations/custom_references.json",
        "annotations/custom_targets.json",
        "annotations/references_visualisations/bird_1.jpg",
        "annotations/references_visualisations/boat_1.jpg",
    }
    copied = root / "my_custom_dataset" / "images" / "000000098636.jpg"
    assert copied.read_bytes() == (root / "coco/train2017/000000098636.jpg").read_bytes()


def test_make_custom_dataset__references_are_one_box_per_class(root: Path) -> None:
    make_custom_dataset.main([])
    path = root / "my_custom_dataset" / "annotations" / "custom_references.json"
    document = json.loads(path.read_text())
    assert document["annotations"] == [
        # Of three birds the largest that is no crowd.
        {
            "id": 2,
            "image_id": 429819,
            "category_id": 16,
            "bbox": [4, 6, 20, 20],
            "iscrowd": 0,
            "area": 200.0,
        },
        {
            "id": 5,
            "image_id": 101435,
            "category_id": 9,
            "bbox": [4, 6, 90, 90],
            "iscrowd": 0,
            "area": 4050.0,
        },
    ]
    assert document["categories"] == [{"id": 9, "name": "boat"}, {"id": 16, "name": "bird"}]
    assert [image["id"] for image in document["images"]] == [429819, 101435]


def test_make_custom_dataset__targets_keep_their_ground_truth(root: Path) -> None:
    make_custom_dataset.main([])
    targets = CocoAnnotations.read(root / "my_custom_dataset" / "annotations/custom_targets.json")
    assert list(targets.images) == TARGETS
    assert [annotation.id for annotation in targets.annotations] == [6, 8]  # no person
    assert targets.annotations[0].segmentation == [[4, 6, 14, 6, 4, 16]]


def test_make_custom_dataset__pictures_show_the_box(root: Path) -> None:
    make_custom_dataset.main([])
    folder = root / "my_custom_dataset" / "annotations" / "references_visualisations"
    pixels = np.array(Image.open(folder / "boat_1.jpg")).astype(int)
    off_grey = np.abs(pixels - 128).max(axis=2)  # (H, W)
    assert off_grey[50, 4] > 30 and off_grey[50, 93] > 30  # first and last column
    assert off_grey[50, 49] < 5  # no mask inside


def test_make_custom_dataset__downloads_what_is_not_on_disk(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = (root / "coco" / "train2017").rename(root / "server")
    monkeypatch.setattr(make_custom_dataset, "SERVER", server.as_uri())
    make_custom_dataset.main([])
    assert len(made(root)) == 12 + 4


def test_make_custom_dataset__keeps_images_that_are_there(root: Path) -> None:
    mine = root / "my_custom_dataset" / "images" / "000000098636.jpg"
    mine.parent.mkdir(parents=True)
    Image.new("RGB", (160, 120), "red").save(mine)
    before = mine.read_bytes()
    make_custom_dataset.main([])
    assert mine.read_bytes() == before


def test_make_custom_dataset__names_the_image_that_the_server_lacks(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = (root / "coco" / "train2017").rename(root / "server")
    (server / "000000456065.jpg").unlink()
    monkeypatch.setattr(make_custom_dataset, "SERVER", server.as_uri())
    with pytest.raises(InputError, match=r"server/000000456065\.jpg cannot be downloaded") as error:
        make_custom_dataset.main([])
    assert f"into {root}/my_custom_dataset/images by other means" in str(error.value)
    assert not any(name.startswith("annotations") for name in made(root))


def test_make_custom_dataset__does_not_keep_what_is_no_image(root: Path) -> None:
    (root / "coco/train2017/000000042279.jpg").write_text("<html>Please log in</html>")
    with pytest.raises(InputError, match=r"000000042279\.jpg is not the image that COCO has"):
        make_custom_dataset.main([])
    assert "images/000000042279.jpg" not in made(root)
    assert not any("unfinished" in name for name in made(root))


def test_make_custom_dataset__no_annotations(root: Path) -> None:
    (root / "coco/annotations/instances_train2017.json").unlink()
    with pytest.raises(InputError, match=r"unpack COCO's annotations_trainval2017\.zip"):
        make_custom_dataset.main([])


def test_make_custom_dataset__another_json_in_its_place(root: Path) -> None:
    path = root / "coco/annotations/instances_train2017.json"
    document = json.loads(path.read_text())
    document["images"] = [image for image in document["images"] if image["id"] != 517410]
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="has no 517410; it must be the one of COCO train2017"):
        make_custom_dataset.main([])
    assert not (root / "my_custom_dataset").exists()


def test_make_custom_dataset__a_reference_image_without_its_class(root: Path) -> None:
    path = root / "coco/annotations/instances_train2017.json"
    document = json.loads(path.read_text())
    document["annotations"] = [a for a in document["annotations"] if a["id"] != 5]
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="image 101435 has no boat"):
        make_custom_dataset.main([])


def test_make_custom_dataset__downloads_are_encrypted() -> None:
    assert make_custom_dataset.SERVER.startswith("https://")


@pytest.mark.parametrize("name", ["../../secret.jpg", "/tmp/secret.jpg", "a\0b.jpg"])
def test_make_custom_dataset__a_name_that_leaves_the_folders_is_refused(
    root: Path, name: str
) -> None:
    (root / "secret.jpg").write_bytes((root / "coco/train2017/000000042279.jpg").read_bytes())
    path = root / "coco/annotations/instances_train2017.json"
    document = json.loads(path.read_text())
    document["images"][3]["file_name"] = name
    path.write_text(json.dumps(document))
    before = set(root.rglob("*"))
    with pytest.raises(InputError, match="does not stay inside"):
        make_custom_dataset.main([])
    assert set(root.rglob("*")) == before


@pytest.fixture
def cut_off(root: Path) -> Iterator[str]:
    """A server that announces a whole image and sends half of it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = (root / "coco/train2017/000000042279.jpg").read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_make_custom_dataset__a_download_that_is_cut_off_is_not_kept(
    root: Path, cut_off: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "coco/train2017/000000429819.jpg").unlink()
    monkeypatch.setattr(make_custom_dataset, "SERVER", cut_off)
    with pytest.raises(InputError, match=r"000000429819\.jpg cannot be downloaded .*more expected"):
        make_custom_dataset.main([])
    assert made(root) == set()


@pytest.mark.parametrize("name", ["custom_references.json", "custom_targets.json"])
def test_make_custom_dataset__its_input_is_not_replaced(root: Path, name: str) -> None:
    source = root / "coco/annotations/instances_train2017.json"
    before = source.read_bytes()
    target = root / "my_custom_dataset/annotations" / name
    target.parent.mkdir(parents=True)
    target.symlink_to(source)
    with pytest.raises(InputError, match=r"would replace the annotations .*train2017\.json"):
        make_custom_dataset.main([])
    assert source.read_bytes() == before
    assert [path.name for path in (root / "my_custom_dataset").rglob("*.*")] == [name]
