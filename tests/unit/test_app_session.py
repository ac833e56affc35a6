"""What a tab of the page remembers, with the demo networks and without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from no_time_to_train.api import FewShotSegmenter
from no_time_to_train.app import session as app_session
from no_time_to_train.app.marking import Mode
from no_time_to_train.app.session import Session
from no_time_to_train.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
SCENES = ROOT / "scenes/images"
STAR, ARROW = SCENES / "reference_00.jpg", SCENES / "reference_08.jpg"
TARGETS = [SCENES / "target_13.jpg", SCENES / "target_64.jpg"]


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> FewShotSegmenter:
    few = tmp_path_factory.mktemp("few") / "few.yaml"
    few.write_text("model: {init_args: {model_cfg: {sam2_infer_cfgs: {points_per_side: 4}}}}\n")
    return FewShotSegmenter.from_config(ROOT / "configs/demo.yaml", few)


def begin(networks: FewShotSegmenter, folder: Path, memory: Path | None = None) -> Session:
    folder.mkdir()
    return Session(networks, folder, memory, as_stored=False)


def add(session: Session, path: Path, name: str) -> None:
    """Mark what lies in the middle of the object by a box of corners that any order gives."""
    session.open(path)
    corners = ((540, 530), (240, 240)) if path == STAR else ((40, 150), (370, 520))
    for corner in corners:
        session.click(corner, Mode.BOX)
    session.add(name)


def test_sessions__share_networks_and_remember_apart(
    networks: FewShotSegmenter, tmp_path: Path
) -> None:
    one, two = begin(networks, tmp_path / "one"), begin(networks, tmp_path / "two")
    add(one, STAR, " star ")
    add(two, ARROW, "arrow")
    assert (one.class_names, two.class_names, networks.class_names) == (["star"], ["arrow"], [])
    told: list[tuple[int, int]] = []
    found = one.search(TARGETS, lambda done, of: told.append((done, of)))
    assert told == [(0, 2), (1, 2)]
    assert {row.label for row in found.rows(0)} == {"star"}
    assert [example.name for example in one.examples] == ["star"]


def test_found__at_a_threshold(networks: FewShotSegmenter, tmp_path: Path) -> None:
    session = begin(networks, tmp_path / "one")
    add(session, STAR, "star")
    found = session.search(TARGETS, lambda done, of: None)
    scores = sorted((row.score for row in found.rows(0)), reverse=True)
    for count in (1, len(scores) - 1):
        threshold = (scores[count - 1] + scores[count]) / 2
        assert len(found.rows(threshold)) == count
        words = "1 instance with" if count == 1 else f"{count} instances with"
        assert found.summary(threshold).startswith(words)
        below = [int(name.rpartition(" ")[2]) for _, name in found.overlays(threshold)]
        assert sum(below) == count
    nothing = found.summary(1.0)
    assert nothing == (
        f"Nothing in 2 pictures has a score of 1.00 or more. The best score is {scores[0]:.2f}."
    )


def test_memory__is_what_a_session_begins_with(networks: FewShotSegmenter, tmp_path: Path) -> None:
    first = begin(networks, tmp_path / "first")
    add(first, STAR, "star")
    second = begin(networks, tmp_path / "second", first.save_memory())
    assert second.class_names == ["star"]
    add(second, ARROW, "arrow")
    assert second.class_names == ["star", "arrow"]
    names = {row.label for row in second.search(TARGETS, lambda done, of: None).rows(0)}
    assert names == {"star", "arrow"}
    second.remove(0)
    assert (second.class_names, second.examples) == (["star"], [])
    of_first = first.search(TARGETS, lambda done, of: None).rows(0)
    assert second.search(TARGETS, lambda done, of: None).rows(0) == of_first


def test_session__refuses_in_a_sentence_and_stays_as_it_was(
    networks: FewShotSegmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = begin(networks, tmp_path / "one")
    with pytest.raises(InputError, match="no picture to mark"):
        session.add("star")
    with pytest.raises(InputError, match="no example yet"):
        session.save_memory()
    with pytest.raises(InputError, match="no example yet"):
        session.search(TARGETS, lambda done, of: None)
    with pytest.raises(InputError, match="nothing was searched"):
        session.save_masks(0.5)
    session.open(STAR)
    session.click((400, 390), Mode.OUTSIDE)
    with pytest.raises(InputError, match="nothing is marked"):
        session.add("star")
    session.click((405, 390), Mode.INSIDE)
    with pytest.raises(InputError, match="has no name"):
        session.add("  ")
    assert session.examples == []
    session.add("star")
    monkeypatch.setattr(app_session, "MAX_PICTURES", 1)
    with pytest.raises(InputError, match="2 pictures are too many for a page, the limit is 1"):
        session.search(TARGETS, lambda done, of: None)
    with pytest.raises(InputError, match=r"there is no image absent\.jpg"):
        session.open(tmp_path / "absent.jpg")
    assert session.picture is not None
    assert session.picture.path == STAR
