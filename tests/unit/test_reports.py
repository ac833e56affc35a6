"""Pages of runs: what stands in them, that nothing breaks out of it, that nothing is loaded."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from no_time_to_train.errors import InputError
from no_time_to_train.reports import from_predict, overview, pictures, write_report
from no_time_to_train.reports import page as page_module
from tests.unit.html_pages import Page
from tests.unit.report_runs import HOSTILE, instance, write_predict_run


def page_of(folder: Path) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two coins in a.png, the second unsure; one in b.png; nothing in c.png."""
    found = [instance(1, 1, 0.9), instance(2, 1, 0.55, x=30), instance(3, 2, 0.7)]
    return write_predict_run(tmp_path / "run", found, ["a.png", "b.png", "c.png"], ["coin"])


def test_page__shows_each_instance_with_its_score(run: Path) -> None:
    page = page_of(run)
    assert [own["data-score"] for own in page.all("g") if "data-score" in own] == [
        *("0.9", "0.55"),  # surest: 0.73 in the mean
        "0.7",
    ]
    assert len(page.all("image")) == 3
    headings = re.findall(r"Surest|Least sure|Nothing found|Random", page.text)
    assert headings == ["Surest", "Nothing found"]
    slider = page.all("input", id="threshold")[0]
    assert (slider["min"], slider["value"]) == ("0.5", "0.5")


def test_page__says_that_there_is_no_ground_truth(run: Path) -> None:
    text = page_of(run).text
    assert "No ground truth." in text
    assert not re.search(r"(?<![\w-])-1\b", text)
    assert "AP" not in re.findall(r"\w+", text)


def test_page__loads_nothing(run: Path) -> None:
    page = page_of(run)
    assert page.fetched() == []
    (policy,) = page.all("meta", http_equiv="Content-Security-Policy")
    assert (policy["content"] or "").startswith("default-src 'none'; img-src data:; style-src 'sha")
    assert not re.search(r"https?://|//", "".join(page.scripts))


def test_policy__allows_the_script_and_the_style_of_the_page_and_no_others(run: Path) -> None:
    text = write_report(run).read_text()
    policy = Page(text).all("meta", http_equiv="Content-Security-Policy")[0]["content"] or ""
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not [own for _, own in Page(text).elements if "style" in own]


def test_page__is_not_broken_by_hostile_names(tmp_path: Path) -> None:
    folder = write_predict_run(
        tmp_path / "run",
        [instance(1, 1, 0.9), instance(2, 2, 0.8)],
        [f"x/{HOSTILE}.png", "'\"><img src=x onerror=alert(1)>.png"],
        [HOSTILE],
        command=["predict", HOSTILE],
        settings={HOSTILE: {"</details>": HOSTILE}},
        versions={"</script>": "<!--"},
        bad_pictures=[{"file_name": HOSTILE, "reason": "</table></main>"}],
    )
    page = page_of(folder)
    assert len(page.scripts) == 1
    assert "alert" not in page.scripts[0]
    assert not page.all("img")
    assert page.text.count(HOSTILE) > 5
    assert not [own for _, own in page.elements if any(key.startswith("on") for key in own)]


def test_page__is_the_same_for_the_same_run(run: Path) -> None:
    first = write_report(run).read_bytes()
    assert write_report(run).read_bytes() == first


def test_page__shows_pictures_that_are_gone_as_outlines(run: Path) -> None:
    for path in (run / "pictures").iterdir():
        path.unlink()
    page = page_of(run)
    assert not page.all("image")
    assert len(page.all("path", **{"class": "found"})) == 3
    assert "The picture is not shown: there is no image" in page.text


def test_page__names_pictures_of_no_readable_name(tmp_path: Path) -> None:
    name = "\udcff.png"  # a byte that is no UTF-8, as Python reads folders
    folder = write_predict_run(tmp_path / "run", [instance(1, 1, 0.9)], [f"x/{name}"], ["coin"])
    assert "x/?.png" in page_of(folder).text


def test_pictures__are_chosen_by_mean_score(tmp_path: Path) -> None:
    names = [f"{number:02d}.png" for number in range(20)]
    found = [instance(n, n, 0.5 + n / 50) for n in range(1, 21)]
    folder = write_predict_run(tmp_path / "run", found, names, ["coin"])
    groups = {group.title: group for group in from_predict.predict_report(folder).groups}
    shown = {title: [each.file_name for each in group.pictures] for title, group in groups.items()}
    assert shown["Surest"] == ["19.png", "18.png", "17.png", "16.png", "15.png", "14.png"]
    assert shown["Least sure"] == ["00.png", "01.png", "02.png", "03.png", "04.png", "05.png"]
    assert len(set(shown["Random"])) == 6
    assert not {*shown["Random"]} & {*shown["Surest"], *shown["Least sure"]}


def test_numbers__count_scores_classes_and_sizes(tmp_path: Path) -> None:
    found = [instance(1, 1, 1.0), instance(2, 1, 0.5, category=2), instance(3, 1, 0.52)]
    found[0]["area"] = 32**2
    report = from_predict.predict_report(
        write_predict_run(tmp_path / "run", found, ["a.png"], ["coin", "bike"])
    )
    assert report.histogram is not None and report.per_class is not None and report.sizes
    (counts,) = report.histogram.parts
    assert list(counts.values) == [0] * 10 + [2] + [0] * 8 + [1]  # twenty bins from 0 to 1
    assert [(row.name, row.count) for row in report.per_class.rows] == [("coin", 2), ("bike", 1)]
    assert [row.count for row in report.sizes.rows] == [2, 1, 0]


def test_large_runs__are_read_up_to_a_limit_that_is_stated(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = json.loads((run / "run.json").read_text()) | {"instances": 12345}
    (run / "run.json").write_text(json.dumps(record))
    monkeypatch.setattr(overview, "MAX_INSTANCES", 2)
    page = page_of(run)
    assert "of the first 2 instances" in page.text
    assert "12,345" in page.text
    assert "b.png" not in page.text
    monkeypatch.setattr(overview, "MAX_INSTANCES", 3)
    assert "of the first" not in page_of(run).text


def test_empty_runs__say_how_far_they_were_from_a_find(tmp_path: Path) -> None:
    about = {"candidates": 15, "best_score": 0.48, "threshold": 0.85}
    folder = write_predict_run(tmp_path / "run", [], ["a.png"], ["coin"], **about)
    text = page_of(folder).text
    assert "from the threshold 0.85 on; the best score of 15 candidates is 0.48." in text
    assert "Nothing found" in text


def test_tables_by_folder__are_read_together(run: Path) -> None:
    content = json.loads((run / "results.json").read_text())
    (run / "results.json").unlink()
    for number, image in enumerate(content["images"]):
        (run / "tables" / f"{number}").mkdir(parents=True)
        own = [each for each in content["annotations"] if each["image_id"] == image["id"]]
        own = [each | {"image_id": 1} for each in own]  # ids count within a table
        part = content | {"images": [image | {"id": 1}], "annotations": own}
        (run / "tables" / f"{number}" / "results.json").write_text(json.dumps(part))
    report = from_predict.predict_report(run)
    assert {fact.name: fact.value for fact in report.headline}["Pictures"] == "3"
    shown = {
        group.title: [(each.file_name, len(each.found)) for each in group.pictures]
        for group in report.groups
    }
    assert shown == {"Surest": [("a.png", 2), ("b.png", 1)], "Nothing found": [("c.png", 0)]}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("run.json", "[]", "holds no json object"),
        ("run.json", "{", "cut off"),
        ("results.json", "[]", "{ is missing"),
        ("results.json", '{"annotations": [{"score": 1}]}', "is not what `predict` writes"),
        ("results.json", '{"annotations": [{"image_id"', "cannot be read as a json object"),
    ],
)
def test_damaged_runs__are_refused(run: Path, name: str, content: str, said: str) -> None:
    (run / name).write_text(content)
    with pytest.raises(InputError, match=re.escape(said)):
        write_report(run)
    assert not (run / "report.html").exists()


def test_other_folders__are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder of a run"):
        write_report(tmp_path)


def test_jpeg__becomes_worse_rather_than_large() -> None:
    import numpy as np

    noise = np.random.default_rng(0).integers(0, 256, (640, 640, 3)).astype(np.uint8)
    uri = pictures.jpeg_uri(Image.fromarray(noise))
    content = base64.b64decode(uri.partition(",")[2])
    assert len(content) <= pictures.MAX_JPEG_BYTES
    assert Image.open(io.BytesIO(content)).size == (640, 640)


def test_large_pictures__are_scaled_down_with_their_outlines(tmp_path: Path) -> None:
    folder = write_predict_run(tmp_path / "run", [instance(1, 1, 0.9)], ["a.png"], ["coin"])
    run_pictures = folder / "pictures"
    Image.new("RGB", (6000, 4000)).save(run_pictures / "a.png")
    content = json.loads((folder / "results.json").read_text())
    (entry,) = content["annotations"]
    entry["segmentation"] = {"size": [4000, 6000], "counts": [4000 * 3000, 4000 * 3000]}
    (folder / "results.json").write_text(json.dumps(content))
    page = page_of(folder)
    (image,) = page.all("image")
    assert (image["width"], image["height"]) == ("640", "427")
    (path,) = page.all("path", **{"class": "found"})
    numbers = [float(each) for each in re.findall(r"[\d.]+", path["d"] or "")]
    assert (min(numbers[::2]), max(numbers[::2])) == (320.5, 639.5)  # the right half


def theme(css: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", css))


def contrast(first: str, second: str) -> float:
    """WCAG's ratio of two colours."""

    def luminance(colour: str) -> float:
        values = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_style__has_enough_contrast_in_light_and_dark() -> None:
    css = (page_module.TEMPLATES / "report.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)
    for colours in (theme(light), theme(light) | theme(dark)):
        for text in ("text", "muted", "accent"):
            for ground in ("page", "card"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        assert contrast(colours["text"], colours["note"]) >= 4.5
        for line in ("accent", "second", "third"):  # of charts
            assert contrast(colours[line], colours["card"]) >= 3
