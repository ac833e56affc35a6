"""Episodes of few-shot segmentation: how they are drawn, and their two numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from no_time_to_train.coco.annotations import Category, CocoAnnotations
from no_time_to_train.dataset.episodes import (
    Episode,
    class_mask,
    draw_episodes,
    read_image_list,
)
from no_time_to_train.errors import InputError
from no_time_to_train.evaluation.episodes import PixelCounts, count_pixels, evaluate_episodes

BIRD, BOAT, FISH = Category(16, "bird"), Category(9, "boat"), Category(30, "fish")
LOWER_HALF = [[0, 2, 4, 2, 4, 4, 0, 4]]
LEFT_COLUMN = {"size": [4, 4], "counts": [0, 4, 12]}
NO_PIXEL = {"size": [4, 4], "counts": [16]}


def instance(image_id: int, category: Category, segmentation=LOWER_HALF, iscrowd: int = 0) -> dict:
    fields = {"image_id": image_id, "category_id": category.id, "bbox": [0, 0, 4, 4]}
    return fields | {"segmentation": segmentation, "iscrowd": iscrowd}


@pytest.fixture
def data_set(tmp_path: Path) -> CocoAnnotations:
    """Birds in images 1, 2, 3, 4 and boats in 3, 4, 5, besides what has no pixel."""
    entries = [
        *(instance(image_id, BIRD) for image_id in (4, 3, 2, 1)),
        *(instance(image_id, BOAT) for image_id in (3, 4, 5)),
        instance(1, BIRD, LEFT_COLUMN, iscrowd=1),
        instance(1, BOAT, NO_PIXEL),
        instance(2, BOAT, None),
        instance(5, FISH),
    ]
    document = {
        "images": [
            {"id": key, "file_name": f"val2014/{key}.jpg", "height": 4, "width": 4}
            for key in (1, 2, 3, 4, 5)
        ],
        "annotations": [{"id": number, **entry} for number, entry in enumerate(entries)],
        "categories": [{"id": each.id, "name": each.name} for each in (BIRD, BOAT, FISH)],
    }
    (tmp_path / "truth.json").write_text(json.dumps(document))
    return CocoAnnotations.read(tmp_path / "truth.json")


def draw(data_set: CocoAnnotations, **changes) -> list[Episode]:
    arguments = {"images": [1, 2, 3, 4, 5], "shots": 1, "seed": 0, "count": 200}
    return draw_episodes(data_set, [BOAT, BIRD], **(arguments | changes))


def test_draw_episodes__class_is_in_all_images_and_the_query_is_no_support(
    data_set: CocoAnnotations,
) -> None:
    showing = {BIRD.id: {1, 2, 3, 4}, BOAT.id: {3, 4, 5}}
    episodes = draw(data_set, shots=2)
    for episode in episodes:
        assert {episode.query, *episode.supports} <= showing[episode.category_id]
        assert episode.query not in episode.supports
        assert len(episode.supports) == 2
    assert {(each.category_id, each.query) for each in episodes} == {
        (category_id, image_id) for category_id, images in showing.items() for image_id in images
    }
    assert any(len(set(each.supports)) == 1 for each in episodes)  # drawn anew for each shot


def test_draw_episodes__the_seed_decides_and_more_episodes_begin_with_the_same(
    data_set: CocoAnnotations,
) -> None:
    assert draw(data_set) == draw(data_set)
    assert draw(data_set, count=10) == draw(data_set)[:10]
    assert draw(data_set, seed=1) != draw(data_set)


def test_draw_episodes__takes_numbers_from_the_generator_as_the_published_loader(
    data_set: CocoAnnotations,
) -> None:
    """One of a list by numpy.random.choice without replacement: class, query, supports."""
    names = {BOAT.id: ["3", "4", "5"], BIRD.id: ["1", "2", "3", "4"]}
    np.random.seed(7)
    expected = []
    for _ in range(20):
        category_id = np.random.choice([BOAT.id, BIRD.id], 1, replace=False)[0]
        query = np.random.choice(names[category_id], 1, replace=False)[0]
        supports = []
        while len(supports) < 5:
            name = np.random.choice(names[category_id], 1, replace=False)[0]
            supports += [name] if name != query else []
        expected.append(Episode(int(category_id), int(query), tuple(map(int, supports))))
    assert draw(data_set, shots=5, seed=7, count=20) == expected


def test_draw_episodes__only_from_the_images_of_a_list(
    data_set: CocoAnnotations, tmp_path: Path
) -> None:
    path = tmp_path / "list.txt"
    path.write_text("val2014/4.jpg\nCOCO/5.jpg\n\n2.jpg\n4.jpg\n")
    images = read_image_list(path, data_set)
    assert images == [4, 5, 2]
    drawn = draw(data_set, images=images)
    assert {(each.category_id, each.query) for each in drawn} == {(16, 4), (16, 2), (9, 4), (9, 5)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.jpg\n6.jpg\n", r"names 2 images, of which .*truth.json does not list 1 \(6.jpg\)"),
        ("\n", "names 0 images"),
    ],
)
def test_read_image_list__that_fits_another_json(
    data_set: CocoAnnotations, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        read_image_list(tmp_path / "list.txt", data_set)


def test_draw_episodes__a_class_in_one_image_is_named(data_set: CocoAnnotations) -> None:
    with pytest.raises(InputError, match="fewer than two of the 5 images show fish"):
        draw_episodes(data_set, [BIRD, FISH], [1, 2, 3, 4, 5], 1, 0, 1)


def test_class_mask__is_the_union_of_instances_and_crowds(data_set: CocoAnnotations) -> None:
    expected = np.zeros((4, 4), bool)
    expected[2:] = expected[:, 0] = True
    np.testing.assert_array_equal(class_mask(data_set, 1, BIRD.id), expected)
    assert not class_mask(data_set, 1, BOAT.id).any()


def test_count_pixels__of_two_masks() -> None:
    truth = np.array([[True, True, True, False, False]])
    found = np.array([[False, True, True, True, False]])
    # Both: 2; either: 4; neither: 1; background of one or the other: 3.
    assert count_pixels(9, truth, found) == PixelCounts(9, 2, 4, 1, 3)


def test_evaluate_episodes__sums_pixels_before_it_divides() -> None:
    episodes = [
        PixelCounts(9, 1, 2, 8, 9),
        PixelCounts(9, 3, 3, 7, 7),
        PixelCounts(16, 1, 10, 0, 9),
    ]
    scores = evaluate_episodes([BOAT, BIRD, FISH], episodes)
    # Boat 4 of 5, bird 1 of 10, no fish asked for; foreground 5 of 15, background 15 of 25.
    assert scores.numbers == pytest.approx({"mIoU": (0.8 + 0.1) / 2, "FB-IoU": (1 / 3 + 0.6) / 2})
    assert [row["IoU"] for row in scores.per_class] == [0.8, 0.1, None]
    assert [row["episodes"] for row in scores.per_class] == [2, 1, 0]
    assert "boat    0.8000         2" in scores.text
