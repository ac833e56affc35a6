"""The two decoders side by side, and what `Sam2ImageModel` promises to its callers."""

import functools
import logging
import subprocess
import sys

import pytest
import torch

from sam2 import ImageFeatures, build_sam2, image_model
from sam2.fast import mask_decoder, numba_kernels, upscaling


def random_features(model, batch: int = 1) -> ImageFeatures:
    embed_dim = model.sam_mask_decoder.iou_token.weight.shape[1]
    side = model.image_size
    return ImageFeatures(
        embedding=torch.randn(batch, embed_dim, side // 16, side // 16),
        high_res_0=torch.randn(batch, embed_dim // 8, side // 4, side // 4),
        high_res_1=torch.randn(batch, embed_dim // 4, side // 8, side // 8),
    )


def demo_model():
    torch.manual_seed(0)
    return build_sam2("sam2_hiera_demo")


@pytest.fixture(scope="module", params=["plain", "fast"])
def demo(request):
    model = demo_model()
    model.decoder = request.param
    return model


@pytest.fixture(scope="module")
def features(demo):
    torch.manual_seed(1)
    return random_features(demo)


@pytest.fixture(scope="module")
def points():
    return torch.tensor([[0.0, 0.0], [255.0, 255.0], [31.5, 200.0], [128.0, 7.0], [90.0, 91.0]])


@pytest.fixture(scope="module")
def prompts(demo, points):
    return demo.sam_prompt_encoder.points(points)


@pytest.fixture
def without_numba(monkeypatch):
    """As on a GPU, or where Numba is not installed."""
    monkeypatch.setattr(upscaling, "numba_kernels", lambda: None)


def relative_error(ours: torch.Tensor, expected: torch.Tensor) -> float:
    assert ours.shape == expected.shape
    return float((ours - expected).norm() / expected.norm())


@pytest.mark.parametrize("kernels", ["compiled", "without_numba"])
@pytest.mark.parametrize("name", ["sam2_hiera_t", "sam2_hiera_demo"])
def test_fast_decoder__equals_the_plain_one(name, kernels, request):
    if kernels == "without_numba":
        request.getfixturevalue(kernels)
    torch.manual_seed(2)
    model = build_sam2(name, image_size=256)
    features, points = random_features(model), torch.rand(5, 2) * 255
    boxes = torch.tensor([[3.0, 4.0, 100.0, 90.0], [0.0, 0.0, 255.0, 255.0]])
    found = {}
    for model.decoder in ("plain", "fast"):
        found[model.decoder] = (
            *model.predict_points(features, points),
            *model.predict_boxes(features, boxes),
        )
    for fast, plain in zip(found["fast"], found["plain"], strict=True):
        assert relative_error(fast, plain) < 1e-5


def test_generate_masks__are_the_best_of_masks_1_to_3_above_the_threshold(
    demo, features, points, prompts
):
    masks, ious = demo.predict_points(features, points)
    best = ious[:, 1:].argmax(dim=1) + 1
    best_ious = ious[torch.arange(5), best]
    threshold = best_ious.sort().values[1].item()  # two of five are at or below it
    kept = best_ious > threshold
    assert kept.sum() == 3

    drawn, drawn_ious = demo.generate_masks(features, prompts, threshold, chunk_size=5)
    assert relative_error(drawn, masks[torch.arange(5), best][kept]) < 1e-5
    assert relative_error(drawn_ious, best_ious[kept]) < 1e-6


def test_generate_masks__with_a_single_output_are_mask_0(demo, features):
    boxes = torch.tensor([[3.0, 4.0, 100.0, 90.0], [0.0, 0.0, 255.0, 255.0]])
    masks, ious = demo.predict_boxes(features, boxes)
    drawn, drawn_ious = demo.generate_masks(
        features,
        demo.sam_prompt_encoder.boxes(boxes),
        iou_threshold=-1,
        chunk_size=1,
        multimask_output=False,
    )
    assert relative_error(drawn, masks[:, 0]) < 1e-5
    assert relative_error(drawn_ious, ious[:, 0]) < 1e-6


@pytest.mark.parametrize("chunk_size", [1, 2, 4, 100])
def test_generate_masks__do_not_depend_on_the_chunk_size(chunk_size, demo, features, prompts):
    masks, ious = demo.generate_masks(features, prompts, 0.0, chunk_size=5)
    chunked, chunked_ious = demo.generate_masks(features, prompts, 0.0, chunk_size)
    assert relative_error(chunked, masks) < 1e-5
    assert relative_error(chunked_ious, ious) < 1e-6


def test_generate_masks__do_not_depend_on_how_many_change_together(
    demo, features, prompts, monkeypatch
):
    masks, ious = demo.generate_masks(features, prompts, 0.0, chunk_size=5)
    two_prompts = 2 * features.embedding.numel()
    monkeypatch.setitem(mask_decoder.TRANSFORMER_CHUNK, "cpu", two_prompts)
    monkeypatch.setattr(image_model, "PLAIN_CHUNK", 2 * features.high_res_0.numel())
    parted, parted_ious = demo.generate_masks(features, prompts, 0.0, chunk_size=5)  # 2, 2 and 1
    assert relative_error(parted, masks) < 1e-5
    assert relative_error(parted_ious, ious) < 1e-6


def test_generate_masks__are_the_same_in_several_threads(demo, features, prompts):
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as each of the threads has
    try:
        masks, ious = demo.generate_masks(features, prompts, 0.0, chunk_size=2)
        threaded, threaded_ious = demo.generate_masks(
            features, prompts, 0.0, chunk_size=2, threads=3
        )
    finally:
        torch.set_num_threads(before)
    assert torch.equal(threaded, masks)
    assert torch.equal(threaded_ious, ious)


@pytest.mark.parametrize(("threshold", "count"), [(1.0, 5), (0.0, 0)])
def test_generate_masks__none_good_enough_or_none_asked_for(
    threshold, count, demo, features, prompts
):
    masks, ious = demo.generate_masks(features, prompts[:count], threshold, chunk_size=2)
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


def test_bfloat16__weights_and_autocast_stay_near_float32(demo, features, points, prompts):
    _, ious = demo.predict_points(features, points)
    with torch.autocast("cpu", torch.bfloat16):
        _, autocast_ious = demo.generate_masks(features, prompts, 0.0, chunk_size=2)
        encoded = demo.encode(torch.zeros(1, 3, 256, 256))
    half = demo_model().bfloat16()
    half.decoder = demo.decoder
    half_features = ImageFeatures(*(tensor.bfloat16() for tensor in vars(features).values()))
    masks, half_ious = half.predict_points(half_features, points)
    assert encoded.embedding.isfinite().all()
    assert masks.dtype == torch.bfloat16
    assert (half_ious - ious).abs().max() < 0.05
    assert (autocast_ious - ious[:, 1:].amax(dim=1)).abs().max() < 0.05


def test_gradients__of_the_plain_decoder_reach_both_ends(points):
    model = build_sam2("sam2_hiera_demo", decoder="plain").requires_grad_(True)
    masks, ious = model.predict_points(model.encode(torch.rand(1, 3, 256, 256)), points[:2])
    (masks.mean() + ious.mean()).backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    assert without == {f"sam_prompt_encoder.point_embeddings.{kind}.weight" for kind in (0, 2, 3)}


def test_gradients__do_not_pass_the_fast_decoder(points):
    model = build_sam2("sam2_hiera_demo", decoder="fast").requires_grad_(True)
    masks, ious = model.predict_points(random_features(model), points[:2])
    assert not masks.requires_grad
    assert not ious.requires_grad


@pytest.mark.parametrize(
    ("decoder", "device", "fast"),
    [
        ("auto", "cpu", True),
        ("auto", "meta", False),
        ("plain", "cpu", False),
        ("fast", "meta", True),
    ],
)
def test_decoder__auto_is_the_fast_one_on_a_cpu_and_the_plain_one_elsewhere(decoder, device, fast):
    model = build_sam2("sam2_hiera_demo", decoder=decoder)
    features = ImageFeatures(*torch.empty(3, 1, device=device))
    assert model._uses_fast_decoder(features) == fast


@torch.inference_mode()
def test_compile_parts__the_plain_decoder_draws_the_same(monkeypatch):
    # Without the C++ compiler, which takes a minute; test_compute has it for the fast decoder.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    model, compiled = demo_model(), demo_model()
    model.decoder = compiled.decoder = "plain"
    compiled.compile_parts()
    features, points = random_features(model), torch.rand(4, 2) * 255
    for ours, expected in zip(
        compiled.predict_points(features, points),
        model.predict_points(features, points),
        strict=True,
    ):
        assert relative_error(ours, expected) < 1e-5


def test_numba__missing_is_said_in_one_line_and_costs_nothing_but_time(points, monkeypatch, caplog):
    model = demo_model()
    features = random_features(model)
    masks, _ = model.predict_points(features, points)
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "sam2.fast.numba_kernels")
    monkeypatch.delattr("sam2.fast.numba_kernels")
    upscaling.numba_kernels.cache_clear()
    try:
        with caplog.at_level(logging.WARNING, "sam2"):
            for _ in range(2):
                slower, _ = model.predict_points(features, points)
    finally:
        upscaling.numba_kernels.cache_clear()
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "Numba is not installed"
    ]
    assert relative_error(slower, masks) < 1e-5


def test_numba__compiling_is_said_once_and_only_where_nothing_is_kept(points, monkeypatch, caplog):
    model = demo_model()
    features = random_features(model)
    for compiled, expected in ((False, 1), (True, 0)):
        caplog.clear()
        monkeypatch.setattr(numba_kernels, "are_compiled", lambda compiled=compiled: compiled)
        upscaling.numba_kernels.cache_clear()
        with caplog.at_level(logging.INFO, "sam2"):
            for _ in range(2):
                model.predict_points(features, points)
        told = [text for text in caplog.messages if text.startswith("SAM 2's kernels are being")]
        assert len(told) == expected
    upscaling.numba_kernels.cache_clear()


NUMBA_ON_DEMAND = """
import sys, torch
from sam2 import ImageFeatures, build_sam2, image_model
model = build_sam2("sam2_hiera_demo", decoder="plain")
sizes = (96, 16), (12, 64), (24, 32)
features = ImageFeatures(*(torch.zeros(1, channels, side, side) for channels, side in sizes))
model.predict_points(features, torch.zeros(1, 2))
assert "numba" not in sys.modules, "imported too early"
model.decoder = "auto"
model.predict_points(features, torch.zeros(1, 2))
assert sys.modules["numba"].config.CPU_FEATURES is None, "changed a setting of Numba's"
"""


def test_numba__is_imported_when_the_fast_decoder_runs_and_keeps_its_settings():
    done = subprocess.run(
        [sys.executable, "-c", NUMBA_ON_DEMAND], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
