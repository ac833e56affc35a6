"""The decoder against a literal one, and what `ImageModel` promises to its callers."""

import pytest
import torch

from sam2 import ImageFeatures, build_sam2
from sam2.modeling import mask_decoder
from tests.reference import sam2_decoder


def random_features(model, batch: int = 1) -> ImageFeatures:
    width = model.sam_mask_decoder.iou_token.weight.shape[1]
    side = model.image_size
    return ImageFeatures(
        embedding=torch.randn(batch, width, side // 16, side // 16),
        high_res_0=torch.randn(batch, width // 8, side // 4, side // 4),
        high_res_1=torch.randn(batch, width // 4, side // 8, side // 8),
    )


@pytest.fixture(scope="module")
def demo():
    torch.manual_seed(0)
    return build_sam2("sam2_hiera_demo")


@pytest.fixture(scope="module")
def features(demo):
    torch.manual_seed(1)
    return random_features(demo)


@pytest.fixture(scope="module")
def points():
    return torch.tensor([[0.0, 0.0], [255.0, 255.0], [31.5, 200.0], [128.0, 7.0], [90.0, 91.0]])


def relative_error(ours: torch.Tensor, expected: torch.Tensor) -> float:
    assert ours.shape == expected.shape
    return float((ours - expected).norm() / expected.norm())


@pytest.mark.parametrize("learning", [True, False], ids=["operations", "fused"])
@pytest.mark.parametrize(("name", "heads"), [("sam2_hiera_demo", 4), ("sam2_hiera_t", 8)])
def test_decoder__equals_the_literal_one(name, heads, learning):
    torch.manual_seed(2)
    model = build_sam2(name, image_size=256)
    features, weights = random_features(model), model.state_dict()
    points = torch.rand(5, 2) * 255
    boxes = torch.tensor([[3.0, 4.0, 100.0, 90.0], [0.0, 0.0, 255.0, 255.0]])
    with torch.set_grad_enabled(learning):
        of_points, of_boxes = (
            model.predict_points(features, points),
            model.predict_boxes(features, boxes),
        )
    cases = [
        (of_points, sam2_decoder.point_prompts(weights, points, 256)),
        (of_boxes, sam2_decoder.box_prompts(weights, boxes, 256)),
    ]
    for (masks, ious), prompts in cases:
        expected_masks, expected_ious = sam2_decoder.decode(
            weights,
            features.embedding,
            features.high_res_0,
            features.high_res_1,
            prompts,
            heads=heads,
            depth=2,
        )
        assert relative_error(masks, expected_masks) < 1e-5
        assert relative_error(ious, expected_ious) < 1e-5


def test_best_masks__are_the_best_of_masks_1_to_3_above_the_threshold(demo, features, points):
    masks, ious = demo.predict_points(features, points)
    best = ious[:, 1:].argmax(dim=1) + 1
    best_ious = ious[torch.arange(5), best]
    threshold = best_ious.sort().values[1].item()  # two of five are at or below it
    kept = best_ious > threshold
    assert kept.sum() == 3

    drawn, drawn_ious = demo.best_masks(features, points, threshold, chunk_size=5)
    assert relative_error(drawn, masks[torch.arange(5), best][kept]) < 1e-5
    assert relative_error(drawn_ious, best_ious[kept]) < 1e-6


@pytest.mark.parametrize("chunk_size", [1, 2, 4, 100])
def test_best_masks__do_not_depend_on_the_chunk_size(chunk_size, demo, features, points):
    masks, ious = demo.best_masks(features, points, 0.0, chunk_size=5)
    chunked, chunked_ious = demo.best_masks(features, points, 0.0, chunk_size)
    assert relative_error(chunked, masks) < 1e-5
    assert relative_error(chunked_ious, ious) < 1e-6


def test_best_masks__do_not_depend_on_how_many_change_at_once(demo, features, points, monkeypatch):
    masks, ious = demo.best_masks(features, points, 0.0, chunk_size=5)
    monkeypatch.setitem(mask_decoder.CHANGED_AT_ONCE, "cpu", 2 * features.embedding.numel())
    parted, parted_ious = demo.best_masks(features, points, 0.0, chunk_size=5)  # 2, 2 and 1
    assert relative_error(parted, masks) < 1e-5
    assert relative_error(parted_ious, ious) < 1e-6


def test_best_masks__are_the_same_in_several_threads(demo, features, points):
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as each of the threads has
    try:
        masks, ious = demo.best_masks(features, points, 0.0, chunk_size=2)
        threaded, threaded_ious = demo.best_masks(features, points, 0.0, chunk_size=2, threads=3)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(threaded, masks)
    assert torch.equal(threaded_ious, ious)


@pytest.mark.parametrize(("threshold", "count"), [(1.0, 5), (0.0, 0)])
def test_best_masks__none_good_enough_or_none_asked_for(threshold, count, demo, features, points):
    masks, ious = demo.best_masks(features, points[:count], threshold, chunk_size=2)
    assert masks.shape == (0, 64, 64)
    assert ious.shape == (0,)


def test_predict_points__a_prompt_is_decoded_by_itself(demo, features, points):
    masks, ious = demo.predict_points(features, points)
    alone, alone_ious = demo.predict_points(features, points[2:3])
    assert relative_error(alone, masks[2:3]) < 1e-5
    assert relative_error(alone_ious, ious[2:3]) < 1e-6


def test_image_features__indexing_keeps_a_batch_of_one(demo):
    torch.manual_seed(3)
    images = torch.randn(2, 3, 256, 256)
    features = demo.encode(images)
    assert len(features) == 2
    assert features[1].embedding.shape == (1, 96, 16, 16)
    assert features[1].high_res_0.shape == (1, 12, 64, 64)
    assert features[-1].high_res_1.shape == (1, 24, 32, 32)
    assert relative_error(features[1].embedding, demo.encode(images[1:]).embedding) < 1e-5


def test_predict_points__refuses_features_of_several_images(demo, points):
    with pytest.raises(ValueError, match="got features of 2"):
        demo.predict_points(random_features(demo, batch=2), points)


def test_encode__refuses_images_of_another_size(demo):
    with pytest.raises(ValueError, match=r"must be \(B, 3, 256, 256\), got \(1, 3, 256, 320\)"):
        demo.encode(torch.zeros(1, 3, 256, 320))


def test_bfloat16__weights_and_autocast_stay_near_float32(demo, features, points):
    _, ious = demo.predict_points(features, points)
    with torch.autocast("cpu", torch.bfloat16):
        _, autocast_ious = demo.best_masks(features, points, 0.0, chunk_size=2)
        encoded = demo.encode(torch.zeros(1, 3, 256, 256))
    torch.manual_seed(0)
    half = build_sam2("sam2_hiera_demo").bfloat16()
    half_features = ImageFeatures(*(tensor.bfloat16() for tensor in vars(features).values()))
    masks, half_ious = half.predict_points(half_features, points)
    assert encoded.embedding.isfinite().all()
    assert masks.dtype == torch.bfloat16
    assert (half_ious - ious).abs().max() < 0.05
    assert (autocast_ious - ious[:, 1:].amax(dim=1)).abs().max() < 0.05


def test_gradients__reach_both_ends_when_asked_for(points):
    model = build_sam2("sam2_hiera_demo").requires_grad_(True)
    masks, ious = model.predict_points(model.encode(torch.rand(1, 3, 256, 256)), points[:2])
    (masks.mean() + ious.mean()).backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    unused = {f"sam_prompt_encoder.point_embeddings.{kind}.weight" for kind in (0, 2, 3)}
    transformer = "sam_mask_decoder.transformer"
    cancelled = {  # biases of keys, which no softmax can see
        f"{transformer}.layers.0.cross_attn_token_to_image.k_proj.bias",
        f"{transformer}.layers.1.cross_attn_token_to_image.k_proj.bias",
        f"{transformer}.final_attn_token_to_image.k_proj.bias",
    }
    assert without == unused | cancelled
