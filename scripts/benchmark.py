"""Measure stage 3 against a literal version of itself: times, memory, agreement.

    python scripts/benchmark.py                             the demo's networks, on a CPU
    python scripts/benchmark.py --sam2 sam2_hiera_t --encoder dinov2_large     official sizes
    python scripts/benchmark.py --processes 2               what two runs on one machine cost
    python scripts/benchmark.py --decoders --device cuda    SAM 2's decoders, in two formats
    python scripts/benchmark.py --demo-set                  what each variant finds, as AP
    python scripts/benchmark.py --memory                    stages 1 and 2 for 80 and 1203 classes
    python scripts/benchmark.py --plan                      whole data sets on 1, 8 and 64 devices

Every variant runs in a process of its own, on the same images. Compare numbers of one run only:
machines are noisy. With --turns 3 all variants run three times, interleaved, so that a slow minute
meets them all.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from no_time_to_train.openmp import bound_spinning  # noqa: E402

bound_spinning()  # as the command does

import torch  # noqa: E402
from benchmarking.accuracy import demo_accuracy, demo_images  # noqa: E402
from benchmarking.agreement import detection_agreement  # noqa: E402
from benchmarking.bank import BankStage, fill, post_process  # noqa: E402
from benchmarking.interleaved import (  # noqa: E402
    in_subprocess,
    run_concurrently,
    run_interleaved,
)
from benchmarking.plan import (  # noqa: E402
    JOBS,
    Job,
    plan,
    seconds_per_evaluated_image,
    seconds_per_reference,
    seconds_to_start,
)
from benchmarking.report import (  # noqa: E402
    Measured,
    compare,
    concurrency_table,
    in_words,
    memory_table,
    ratios,
    table,
)
from benchmarking.stopwatch import Stopwatch  # noqa: E402
from benchmarking.variants import DECODERS, VARIANTS, Networks  # noqa: E402

from dinov2 import PRESETS as ENCODERS  # noqa: E402
from no_time_to_train.commands.costs import Costs  # noqa: E402
from no_time_to_train.dataset.script_entry import run_script  # noqa: E402
from no_time_to_train.files import atomic_write  # noqa: E402
from no_time_to_train.output_checks import prepare_outputs  # noqa: E402
from sam2.build_sam import PRESETS as SEGMENTERS  # noqa: E402

DEMO = {
    "sam2_hiera_demo": ROOT / "demo_models" / "sam2_hiera_demo.pt",
    "dinov2_demo": ROOT / "demo_models" / "dinov2_demo.pth",
}
ENCODER_SIZE, DEMO_ENCODER_SIZE = 518, 252
PHOTOGRAPH = ROOT / "photos" / "images" / "motorcycle_right.jpg"
PRODUCT_SIDE, PRODUCTS = 4096, 5
"""Side of the matrices whose product says what the machine can do, and how many are tried."""
WITHOUT_WEIGHTS = "official weights; without them they are random, the same in every process"


def large_product(device: str) -> float:
    """GFLOP per second of the best of a few large matrix products, fp32."""
    left, right = torch.randn(2, PRODUCT_SIDE, PRODUCT_SIDE, device=device)
    times = []
    for _ in range(PRODUCTS):
        watch = Stopwatch(device)
        with watch("product"):
            left @ right
        times.append(watch.seconds["product"])
    return 2 * PRODUCT_SIDE**3 / min(times) / 1e9


def measure_memory(job: Job) -> tuple[BankStage, BankStage]:
    """Stages 1 and 2 of a job, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        filled, post_processed = Path(folder) / "filled.pth", Path(folder) / "post_processed.pth"
        return (
            in_subprocess(fill, job.classes, job.shots, filled),
            in_subprocess(post_process, job.classes, job.shots, filled, post_processed),
        )


def costs_of(
    job: Job, statistics: BankStage, measured: Measured, start: float, reference: float
) -> Costs:
    """What a job consists of; of its own it has the evaluation, which is measured here."""
    records = max(measured.records, key=len)
    return Costs(
        start=start,
        reference=reference,
        statistics=statistics.seconds,
        image=measured.seconds_per_image,
        image_evaluated=seconds_per_evaluated_image(records, job.classes),
        image_records_mb=len(json.dumps(records)) / 2**20,
        process_mb=measured.peak_mb,
    )


def read_command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--sam2", default="sam2_hiera_demo", choices=SEGMENTERS, metavar="PRESET")
    add("--sam2-checkpoint", type=Path, help=WITHOUT_WEIGHTS)
    add("--encoder", default="dinov2_demo", choices=ENCODERS, metavar="PRESET")
    add("--encoder-checkpoint", type=Path, help=WITHOUT_WEIGHTS)
    add("--points-per-side", type=int, default=32)
    add("--classes", type=int, default=20, help="how many to look for, 20 by default")
    looked_for = parser.add_mutually_exclusive_group().add_argument
    looked_for("--more-classes", type=int, help="run the last variant once more with so many")
    looked_for("--demo-set", action="store_true", help="the demo's data set, with its classes")
    add("--images", type=Path, nargs="+", default=[PHOTOGRAPH])
    add("--variants", nargs="+", default=["literal", "exact"], choices=VARIANTS)
    add(
        "--decoders",
        dest="variants",
        action="store_const",
        const=list(DECODERS),
        help="all decoders of SAM 2 instead: plain, plain compiled and fast, in fp32 and bf16",
    )
    add("--device", default="cpu", help="such as cuda")
    add("--turns", type=int, default=1, help="how often each variant runs over all images")
    add("--out", type=Path, help="json for all figures")
    other = parser.add_mutually_exclusive_group().add_argument
    other("--memory", action="store_true", help="measure stages 1 and 2 instead, without networks")
    other("--processes", type=int, help="time each variant in so many processes at once instead")
    other("--plan", action="store_true", help="plan data sets with the times of the last variant")
    return parser.parse_args()


def main() -> None:
    given = read_command_line()
    demo_encoder = given.encoder == "dinov2_demo"
    networks = Networks(
        sam2=given.sam2,
        sam2_checkpoint=given.sam2_checkpoint or DEMO.get(given.sam2),
        encoder=given.encoder,
        encoder_checkpoint=given.encoder_checkpoint or DEMO.get(given.encoder),
        encoder_image_size=DEMO_ENCODER_SIZE if demo_encoder else ENCODER_SIZE,
        points_per_side=given.points_per_side,
        classes=given.classes,
        demo_set=given.demo_set,
        device=given.device,
    )
    if given.out:
        weights = [path for path in (networks.sam2_checkpoint, networks.encoder_checkpoint) if path]
        prepare_outputs({"--out": given.out}, {"--images": given.images, "the weights": weights})
    content: dict[str, Any] = {"threads": torch.get_num_threads()}
    if given.memory or given.plan:
        memory = {job: measure_memory(job) for job in JOBS}
        print(memory_table({job.name: stages for job, stages in memory.items()}))
        content["memory"] = {job.name: [asdict(s) for s in memory[job]] for job in JOBS}
    if given.processes:
        columns = {name: (name, networks) for name in given.variants}
        seconds = run_concurrently(columns, given.images, given.processes, tell)
        print(concurrency_table(seconds))
        content["processes"] = seconds
    elif not given.memory:
        measured = compare_variants(given, networks, content)
    if given.plan:
        name = given.variants[-1]
        compute = VARIANTS[name].compute
        start = in_subprocess(seconds_to_start, networks, compute)
        reference = in_subprocess(seconds_per_reference, networks, compute)
        for job, (_, statistics) in memory.items():
            costs = costs_of(job, statistics, measured[name], start, reference)
            print("\n".join(plan(job, costs)))
            content.setdefault("costs", {})[job.name] = asdict(costs) | {"job": asdict(job)}
    if given.out:
        with atomic_write(given.out) as file:
            json.dump(content, file, indent=2, default=str)


def tell(progress: str) -> None:
    """Say what runs, beside the figures."""
    print(progress, file=sys.stderr, flush=True)


def compare_variants(
    given: argparse.Namespace, networks: Networks, content: dict[str, Any]
) -> dict[str, Measured]:
    """Measure stage 3 in all variants, and say how far they agree; figures go to `content` too."""
    images = demo_images() if given.demo_set else given.images
    columns = {name: (name, networks) for name in given.variants}
    *_, last = given.variants
    more = f"{last}, {given.more_classes} classes"
    if given.more_classes:
        columns[more] = last, replace(networks, classes=given.more_classes)
    measured = run_interleaved(columns, images, given.turns, tell)
    product = in_subprocess(large_product, given.device)
    print(table(measured))
    print(f"product of two {PRODUCT_SIDE} x {PRODUCT_SIDE} matrices: {product:.1f} GFLOP/s")
    base, *others = given.variants
    agreements = {
        name: detection_agreement(measured[base].records, measured[name].records) for name in others
    }
    for name, agreement in agreements.items():
        print(f"{name} beside {base}: {ratios(measured[base], measured[name])};")
        print(f"    {in_words(agreement)}")
    if given.more_classes:
        print(f"{more} beside {given.classes}: {compare(measured[last], measured[more])}")
    if given.demo_set:
        content["accuracy"] = {name: demo_accuracy(m.records) for name, m in measured.items()}
        for name, (box, mask) in content["accuracy"].items():
            print(f"{name} on the demo's data set: box AP {box:.4f}, mask AP {mask:.4f}")
    content |= {
        "settings": asdict(networks) | {"images": images, "turns": given.turns},
        "large_product_gflops": product,
        "variants": {name: asdict(figures) for name, figures in measured.items()},
        "agreement": {name: asdict(agreement) for name, agreement in agreements.items()},
    }
    return measured


if __name__ == "__main__":
    run_script(main)
