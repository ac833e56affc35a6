"""The published commands, verbatim: every one is accepted, and the custom data set runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from PIL import Image

from no_time_to_train.dataset import few_shot_sampling
from tests.cli.conftest import CONFIGS, ROOT, run_test

DOCUMENT = (ROOT / "tests/data/published_commands.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", DOCUMENT, flags=re.DOTALL)
OPTIONAL = re.findall(r"`(--model\S+ \S+)`", DOCUMENT.partition("Optional on the last one")[2])
RECORD = r"""
python() { printf '%s\0' "$@" >> commands; echo >> commands; }
mkdir() { :; }; wget() { :; }; conda() { :; }; pip() { :; }; cd() { :; }
"""


def recorded(block: str, folder: Path) -> list[list[str]]:
    """The words of every python command of a block, as bash passes them on."""
    subprocess.run(["bash", "-e", "-c", RECORD + block], cwd=folder, check=True)
    lines = (folder / "commands").read_text().splitlines()
    return [line.rstrip("\0").split("\0") for line in lines]


@pytest.mark.parametrize("number", [1, 2])
def test_published_commands__are_accepted_verbatim(number: int, photos_dir: Path) -> None:
    commands = recorded(BLOCKS[number], photos_dir)
    (photos_dir / "no_time_to_train").symlink_to(ROOT / "no_time_to_train")
    stages = [words[2:] for words in commands if words[0] == "run_lightening.py"]
    assert len(stages) == {1: 3, 2: 4}[number]
    for words in stages:
        outcome = run_test(*words, "--print_config")
        assert outcome.code == 0, outcome.err
    for words in commands:
        if words[0].endswith("few_shot_sampling.py"):  # the other tools run below
            assert few_shot_sampling._parser().parse_args(words[1:]).n_shot == 30


def test_published_commands__values_arrive_with_their_types(photos_dir: Path) -> None:
    commands = recorded(BLOCKS[1], photos_dir)
    (photos_dir / "no_time_to_train").symlink_to(ROOT / "no_time_to_train")
    optional = [word for flag in OPTIONAL for word in flag.split()]
    outcome = run_test(*commands[-1][2:], *optional, "--print_config")
    config = yaml.safe_load(outcome.out)
    model = config["model"]["init_args"]["model_cfg"]
    assert model["memory_bank_cfg"] == {
        "enable": True, "category_num": 20, "length": 30, "patch_memory_mb": 256,
    }  # fmt: skip
    assert model["test"] == {
        "imgs_path": None, "online_vis": True, "vis_thr": 0.4, "colour_by": "class",
    }  # fmt: skip
    assert config["model"]["init_args"]["test_mode"] == "test"
    assert config["trainer"]["devices"] in (4, "4")
    assert config["trainer"]["logger"][0]["init_args"]["save_dir"] == "work_dirs/few_shot_results/"
    assert config["ckpt_path"] == "work_dirs/few_shot_results/memory_postprocessed.ckpt"


REFERENCES = {
    429819: (16, "bird", "coins_top.png", 11),
    101435: (9, "boat", "motorcycle_left.jpg", 4),
}
TARGETS = [98636, 361948, 456065, 42279, 517410, 439274, 407180, 459673, 481301, 460598]


def write_coco(folder: Path) -> None:
    """COCO's layout, with the photographs in the place of the images that the recipe names."""
    content: dict[str, list] = {"images": [], "annotations": [], "categories": []}
    (folder / "train2017").mkdir(parents=True)
    (folder / "annotations").mkdir()
    photos = json.loads((ROOT / "photos/annotations/custom_references_with_segm.json").read_text())
    for image_id, (category_id, name, file_name, photo_class) in REFERENCES.items():
        content["categories"].append({"id": category_id, "name": name})
        add_image(content, folder, image_id, file_name)
        photo = next(a for a in photos["annotations"] if a["category_id"] == photo_class)
        content["annotations"].append(
            photo | {"id": image_id, "image_id": image_id, "category_id": category_id}
        )
    truth = json.loads((ROOT / "photos/annotations/custom_targets.json").read_text())
    coin = next(a for a in truth["annotations"] if a["image_id"] == 2)
    for position, image_id in enumerate(TARGETS):
        names = ("coins_bottom.png", "motorcycle_right.jpg", "chelsea.jpg")
        add_image(content, folder, image_id, names[position % 3])
        if position % 3 == 0:
            ids = {"id": image_id, "image_id": image_id, "category_id": REFERENCES[429819][0]}
            content["annotations"].append(coin | ids)
    (folder / "annotations/instances_train2017.json").write_text(json.dumps(content))


def add_image(content: dict[str, list], folder: Path, image_id: int, photo: str) -> None:
    name = f"{image_id:012d}.jpg"
    picture = Image.open(ROOT / "photos/images" / photo).convert("RGB")
    picture.save(folder / "train2017" / name)
    content["images"].append(
        {"id": image_id, "file_name": name, "height": picture.height, "width": picture.width}
    )


def write_repository(folder: Path) -> None:
    """A repository root whose published YAML uses the demo networks and few prompts."""
    package = folder / "no_time_to_train"
    package.mkdir()
    for name in ("dataset", "cli.py"):
        (package / name).symlink_to(ROOT / "no_time_to_train" / name)
    (folder / "run_lightening.py").symlink_to(ROOT / "run_lightening.py")
    (folder / "scripts").symlink_to(ROOT / "scripts")
    (package / "pl_configs").mkdir()
    template, demo = (yaml.safe_load((ROOT / name).read_text()) for name in CONFIGS)
    init_args, overlay = (each["model"]["init_args"] for each in (template, demo))
    init_args["model_cfg"] |= overlay["model_cfg"]
    init_args["model_cfg"]["sam2_infer_cfgs"]["points_per_side"] = 6
    for part in ("fill_memory", "test"):
        init_args["dataset_cfgs"][part] |= overlay["dataset_cfgs"][part]
    template["trainer"]["accelerator"] = "cpu"
    (package / "pl_configs/matching_cdfsod_template.yaml").write_text(yaml.safe_dump(template))


def test_custom_data_set__the_published_walk_through_runs_verbatim(
    photos_dir: Path, warm_python: str
) -> None:
    write_repository(photos_dir)
    write_coco(photos_dir / "data/coco")
    # The recipe's checkpoint is 2.4 GB of SAM 1; the tool takes SAM 2 weights under any name.
    sam2 = (photos_dir / "demo_models/sam2_hiera_demo.pt").resolve()
    (photos_dir / "checkpoints").mkdir()
    (photos_dir / "checkpoints/sam_vit_h_4b8939.pth").symlink_to(sam2)
    stand_ins = f'wget() {{ :; }}; python() {{ "{warm_python}" "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-e", "-c", stand_ins + BLOCKS[2]],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.index("BBOX RESULTS:") < done.stdout.index("SEGM RESULTS:")
    made = photos_dir / "data/my_custom_dataset"
    drawn = made / "annotations/references_visualisations"
    assert {path.name for path in drawn.iterdir()} == {"bird_1.jpg", "boat_1.jpg"}
    assert len(list((made / "images").iterdir())) == len(REFERENCES) + len(TARGETS)
    assert (made / "annotations/custom_references_with_SAM_segm").is_dir()
    results = photos_dir / "results_analysis"
    assert len(list((results / "my_custom_dataset").iterdir())) == len(TARGETS)
    memory = {path.name for path in (results / "memory_vis/my_custom_dataset").iterdir()}
    assert memory == {"0_101435.png", "1_429819.png"}  # boat, id 9, comes before bird, id 16
