"""`bank`: a memory shown, edited and written in another format, as users type it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from no_time_to_train.api import FewShotSegmenter
from no_time_to_train.memory.bank import Memory
from no_time_to_train.memory.checkpoint import read_memory, write_memory
from no_time_to_train.memory.statistics import ClassStatistics
from tests.cli.conftest import CONFIGS, ROOT, Outcome, postprocess, run_command, segment
from tests.cli.test_predict import CLASSES, copy_pictures, predict, read, write_scenes_dir
from tests.unit.memory_mutants import originals

OLD = ROOT / "tests/data/memory_of_2026-11.pth"
DEMO = ("--config", str(ROOT / "configs/demo.yaml"), "--device", "cpu")


def bank(*arguments: str) -> Outcome:
    return run_command("bank", *arguments)


def done(*arguments: str) -> str:
    outcome = bank(*arguments)
    assert outcome.code == 0, outcome.err
    return outcome.out


def classes_of(path: str) -> dict[str, int]:
    memory = read_memory(Path(path))
    return dict(zip(memory.class_names, memory.counts, strict=True))


def statistics_of(path: str) -> ClassStatistics:
    return read_memory(Path(path)).load(Memory()).statistics


@pytest.fixture
def scenes_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with marked scenes of two classes, and a memory of them from Python."""
    write_scenes_dir(tmp_path)
    monkeypatch.chdir(tmp_path)
    segmenter = FewShotSegmenter.from_config("configs/demo.yaml", device="cpu")
    for name in CLASSES:
        segmenter.remember(f"refs/{name}/one.jpg", f"refs/{name}/one.png", name)
    segmenter.finalise()
    segmenter.save("memory.pth")
    return tmp_path


def test_show__lists_classes_without_torch(memories_dir: Path) -> None:
    program = (
        "import sys; from no_time_to_train.commands import main\n"
        "main(['bank', 'show', *sys.argv[1:]]); print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(memories_dir / "memory.pth"), "--html"]
    command.append(str(memories_dir / "page.html"))
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = shown.splitlines()
    assert "state     post-processed" in lines
    assert "encoder   dinov2_demo at 252 x 252 pixels" in lines
    assert "classes   2, with up to 1 reference each" in lines
    table = [line.split() for line in lines[lines.index("") + 1 :]]
    assert table[:3] == [
        ["class", "references", "similarity", "pictures"],
        ["motorcycle", "1", "-", "1"],
        ["coin", "1", "-", "1"],
    ]
    assert lines[-1] == "False"


class Page(HTMLParser):
    """What is in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for key, value in attrs if key in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_show__page_has_a_picture_of_each_reference_and_asks_nothing_of_the_network(
    memories_dir: Path,
) -> None:
    memory = read_memory(Path("memory.pth")).load(Memory())
    memory.class_names = ["<script>alert(1)</script>", 'coin" onload="x']
    write_memory(Path("hostile.pth"), memory)
    assert "Pictures of the references in page.html" in done(
        "show", "hostile.pth", "--html", "page.html"
    )
    page = Page(Path("page.html").read_text(encoding="utf-8"))
    assert page.tags.count("img") == 2 and "script" not in page.tags
    assert all(source.startswith("data:image/webp;base64,") for source in page.sources)
    assert "<script>alert(1)</script>" in page.text and 'coin" onload="x' in page.text
    assert "no picture" not in page.text


def test_show__says_where_an_older_file_has_no_pictures(photos_dir: Path) -> None:
    printed = done("show", str(OLD), "--html", "page.html")
    assert "The references have no picture: they were filled by a version" in printed
    page = Page(Path("page.html").read_text(encoding="utf-8"))
    assert "The references have no picture" in page.text and "img" not in page.tags


@pytest.mark.parametrize("kind", ["filled", "dense", "post-processed", "published"])
def test_show__knows_every_kind(photos_dir: Path, kind: str) -> None:
    torch.save(originals()[kind], "memory.pth")
    assert "class" in done("show", "memory.pth", "--html", "page.html")
    assert ("post-processed yet" in done("show", "memory.pth")) == (kind in ("filled", "dense"))


def test_add__of_marked_examples_equals_filling_with_all(scenes_dir: Path) -> None:
    first, second = CLASSES
    done("remove", "memory.pth", first, "--out", "half.pth")
    assert classes_of("half.pth") == {second: 1}
    printed = done("add", "half.pth", "--references", "refs", "--classes", first, *DEMO)
    assert f"half.pth: added 1 reference to {first}; 2 classes" in printed
    assert classes_of("half.pth") == {second: 1, first: 1}
    edited, anew = statistics_of("half.pth"), statistics_of("memory.pth")
    for field in ("prototypes", "class_means"):
        found = getattr(edited, field).flip(0)  # what was added is the last
        torch.testing.assert_close(found, getattr(anew, field), rtol=0, atol=1e-6)
    assert "added 0 references to" in done("add", "half.pth", "--references", "refs", *DEMO)


def test_add__of_another_encoder_is_refused(scenes_dir: Path) -> None:
    memory = read_memory(Path("memory.pth")).load(Memory())
    memory.encoder = memory.encoder and memory.encoder._replace(img_size=280)
    write_memory(Path("other.pth"), memory)
    assert_refused(
        "other.pth was filled with dinov2_demo at 280 x 280 pixels, but the encoder is dinov2_demo "
        "at 252 x 252 pixels",
        *("add", "other.pth", "--references", "refs", *DEMO),
    )
    assert_refused(
        "other.pth: it was filled with dinov2_demo at 280 x 280 pixels, and the memory that it",
        *("add", "memory.pth", "other.pth"),
    )
    assert_refused(
        "other.pth: there is no class 'zigzag'; did you mean zigzag_heart?",
        *("add", "memory.pth", "other.pth", "--classes", "zigzag"),
    )


def test_edits__give_what_is_segmented_then(memories_dir: Path) -> None:
    done("rename", "memory.pth", "coin", "medal")
    done("add", "memory.pth", str(OLD), "--classes", "coin")
    assert classes_of("memory.pth") == {"motorcycle": 1, "medal": 1, "coin": 1}
    done("merge", "memory.pth", "medal", "coin", "--into", "coin")
    # The same coin, seen by the same encoder in both files.
    torch.testing.assert_close(
        statistics_of("memory.pth").prototypes, statistics_of(str(OLD)).prototypes
    )
    outcome = segment(*sizes(2, classes_of("memory.pth")["coin"]))
    assert outcome.code == 0, outcome.err


def sizes(classes: int, shots: int) -> list[str]:
    bank_cfg = "--model.init_args.model_cfg.memory_bank_cfg"
    return [f"{bank_cfg}.category_num={classes}", f"{bank_cfg}.length={shots}"]


FOR_PICTURES = ("feats_avg", "ins_sim_avg", "feats_centers", "pca_mean", "pca_components")


def test_segmenting__reads_nothing_that_an_edit_gives_only_about(memories_dir: Path) -> None:
    content = torch.load("memory.pth")
    for name in (*FOR_PICTURES, "mask_sums"):
        content["state_dict"][f"seg_model.mem_{name}"].fill_(0.25)
    torch.save(content, "other.pth")
    for path in ("memory.pth", "other.pth"):
        assert segment("--export_result", f"{path}.json", ckpt_path=path).code == 0
    found = [json.loads(Path(f"{name}.pth.json").read_text()) for name in ("memory", "other")]
    assert found[0] == found[1] != []


def test_safetensors__are_taken_wherever_a_memory_is(memories_dir: Path) -> None:
    assert postprocess("--out_path", "memory.safetensors").code == 0
    done("export", "memory.safetensors", "again.pth")
    done("export", "filled.pth", "filled.safetensors")
    results = []
    for path in ("memory.pth", "memory.safetensors", "again.pth"):
        checked = run_command("check", *segment_arguments(path))
        assert checked.code == 0 and f"memory        {path}" in checked.out, checked.err
        assert segment("--export_result", "found.json", ckpt_path=path).code == 0
        results.append(Path("found.json").read_text())
    assert results[0] == results[1] == results[2]
    assert postprocess("--ckpt_path", "filled.safetensors", "--out_path", "last.pth").code == 0
    assert torch.equal(statistics_of("last.pth").prototypes, statistics_of("memory.pth").prototypes)
    segmenter = FewShotSegmenter.from_config(*(str(ROOT / name) for name in CONFIGS), device="cpu")
    segmenter.load("memory.safetensors")
    assert segmenter.class_names == ["motorcycle", "coin"]


def test_safetensors__are_taken_by_predict(scenes_dir: Path) -> None:
    done("export", "memory.pth", "memory.safetensors")
    copy_pictures(Path("pics"), 1)
    for name in ("pth", "safetensors"):
        outcome = predict("--out", name, source=("--memory", f"memory.{name}"))
        assert outcome.code == 0, outcome.err
    assert (
        read("pth/results.json")["annotations"] == read("safetensors/results.json")["annotations"]
    )
    assert read("pth/results.json")["annotations"]


def segment_arguments(path: str) -> list[str]:
    from tests.cli.conftest import base, targets

    return [*base(), *targets(), "--model.test_mode", "test", "--ckpt_path", path]


def assert_refused(words: str, *arguments: str) -> None:
    """Refused in one line, and no file has changed or appeared."""
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    outcome = bank(*arguments)
    assert outcome.code == 2 and words in outcome.err, outcome
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1
    assert before == {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}


REFUSED = [
    ("there is no class 'cion'; did you mean coin?", ["remove", "memory.pth", "cion"]),
    ("there would be no class left", ["remove", "memory.pth", "coin", "motorcycle"]),
    ("there is a class 'coin' already", ["rename", "memory.pth", "motorcycle", "coin"]),
    ("'coin' is one class; name two", ["merge", "memory.pth", "coin", "--into", "x"]),
    ("memory.pth would replace OTHER", ["add", "memory.pth", "./memory.pth"]),
    ("would replace FILE", ["remove", "memory.pth", "coin", "--out", "memory.pth"]),
    ("would replace FILE", ["show", "memory.pth", "--html", "memory.pth"]),
    ("OUT x.json ends in none of .pth", ["export", "memory.pth", "x.json"]),
    ("the memory none.pth does not exist", ["show", "none.pth"]),
    ("the memory references.json cannot be read", ["show", "references.json", "--html", "a.html"]),
    ("is no PyTorch checkpoint", ["add", "memory.pth", "references.json"]),
    ("not allowed with", ["add", "memory.pth", "filled.pth", "--references", "photos"]),
    ("bank add: one of the arguments OTHER --references", ["add", "memory.pth"]),
    ("bank remove: the following arguments are required: CLASS", ["remove", "memory.pth"]),
    ("bank merge: the following arguments are required: --into", ["merge", "memory.pth", "a"]),
    ("bank: argument ACTION: invalid choice: 'list'", ["list", "memory.pth"]),
    ("bank: the following arguments are required: ACTION", []),
    ("must be names with commas", ["add", "memory.pth", "filled.pth", "--classes", "a,,b"]),
    ("out is a file, not a folder", ["export", "memory.pth", "out/x.pth"]),
]


@pytest.mark.parametrize(("words", "arguments"), REFUSED, ids=[" ".join(a) for _, a in REFUSED])
def test_mistakes__are_one_line_and_change_nothing(
    memories_dir: Path, words: str, arguments: list[str]
) -> None:
    Path("out").write_text("")
    assert_refused(words, *arguments)


def test_edits__do_not_replace_a_file_of_the_published_code(photos_dir: Path) -> None:
    torch.save(originals()["published"], "published.pth")
    assert_refused("name another file with --out", "rename", "published.pth", "coin", "medal")
    done("rename", "published.pth", "coin", "medal", "--out", "ours.pth")
    assert classes_of("ours.pth") == {"arrow": 1, "medal": 3}


def test_edits__follow_a_link_and_keep_it(memories_dir: Path) -> None:
    shutil.move("memory.pth", "real.pth")
    Path("memory.pth").symlink_to("real.pth")
    done("rename", "memory.pth", "coin", "medal")
    assert Path("memory.pth").is_symlink() and "medal" in classes_of("real.pth")


def test_export__is_read_by_safetensors_alone(memories_dir: Path) -> None:
    from safetensors import safe_open

    done("export", "memory.pth", "memory.safetensors")
    with safe_open("memory.safetensors", "numpy") as file:
        known = json.loads(file.metadata()["no_time_to_train"])
        means = file.get_tensor("mem_feats_ins_avg")
    assert known["class_names"] == ["motorcycle", "coin"]
    assert torch.equal(torch.from_numpy(means), statistics_of("memory.pth").instance_means)
