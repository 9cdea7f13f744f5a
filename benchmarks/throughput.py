"""Training pairs per second and peak memory: ours and the literal method, taking turns.

A pair is an ordered pair of two different images that enters the loss. Ours registers all
B (B - 1) ordered pairs of B images a step; the literal method takes `--literal-pairs` pairs a
step, as the paper does with 20, and sends both images of each through the encoder. Network,
initial weights, images, landmarks, objective and optimizer are the same. `ratio` compares ours
at 20 images a batch (380 pairs a step) with the literal method at 20 pairs a batch (40 images).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common
from benchmarks.literal import LiteralTraining
from lmcore.discovery.trainer import Training

COMPARED = 20
# So small that the landmarks stay where they are well spread: only time is measured here.
LEARNING_RATE = 1e-6


def main(arguments: list[str] | None = None) -> None:
    """Print pairs per second of both methods over batch sizes."""
    parser = common.compared_parser(__doc__.splitlines()[0])
    parser.add_argument("--dimension", type=int, choices=(2, 3), default=2)
    parser.add_argument("--batches", type=int, nargs="+", default=[10, 20, 40], help="images")
    parser.add_argument("--repeats", type=int, default=3, help="timed steps of each")
    options = parser.parse_args(arguments)
    device = common.start(options)
    batches = sorted({*options.batches, COMPARED})
    shape = (options.size,) * options.dimension
    images = common.smooth_images(max(batches), shape, options.seed).to(device)
    works = {f"ours, {batch} images": our_step(images[:batch], options, batch) for batch in batches}
    settings = common.settings_of(options, learning_rate=LEARNING_RATE)
    literal = LiteralTraining(images[:COMPARED], settings, options.seed, options.literal_pairs)
    works["literal"] = literal.step
    seconds = common.alternating_seconds(works, options.repeats, device)
    memory = {name: common.peak_megabytes(work, device) for name, work in works.items()}

    naive = options.literal_pairs / seconds["literal"]
    rows = {}
    for batch in batches:
        name = f"ours, {batch} images"
        rows[batch] = {
            "batch": batch,
            "pairs_per_second": batch * (batch - 1) / seconds[name],
            "step_seconds": seconds[name],
            "peak_mb": memory[name],
        }
    best = max(rows.values(), key=lambda row: row["pairs_per_second"])
    common.report(
        device,
        pairs_per_second=rows[COMPARED]["pairs_per_second"],
        naive_pairs_per_second=naive,
        ratio=rows[COMPARED]["pairs_per_second"] / naive,
        best_batch=best["batch"],
        best_ratio=best["pairs_per_second"] / naive,
        peak_mb=rows[COMPARED]["peak_mb"],
        naive_peak_mb=memory["literal"],
        naive_step_seconds=seconds["literal"],
        batches=list(rows.values()),
        **common.chosen(
            options, "literal_pairs", "grid_stride", "size", "dimension", "landmarks", "network"
        ),
    )


def our_step(images, options, batch: int):
    """One training step of ours on a batch of all these images."""
    settings = common.settings_of(
        options, batch=batch, grid_stride=options.grid_stride, learning_rate=LEARNING_RATE
    )
    every = list(range(len(images)))
    return Training(images.__getitem__, images.shape[2:], every, [], settings, options.seed).step


if __name__ == "__main__":
    main()
