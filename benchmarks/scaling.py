"""Time and memory of a training step against image size, landmarks and batch, in 2D and 3D,
and where a step's time goes: encoder, fit, warp, loss, each with its share of the gradient."""

import argparse
import statistics
import sys
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common
from lmcore.discovery.trainer import LARGEST_GRADIENT, Training
from lmcore.registration import warp
from lmcore.registration.matching import blocks
from lmcore.registration.regularity import mean_condition_number


def main(arguments: list[str] | None = None) -> None:
    """Print a row for each size, landmark count and batch, others at their middle value."""
    parser = common.parser(__doc__)
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    parser.set_defaults(network="small", size=128)
    parser.add_argument("--dimension", type=int, choices=(2, 3), default=2)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--sizes", type=int, nargs="*", default=[64, 256])
    parser.add_argument("--counts", type=int, nargs="*", default=[12, 100], help="of landmarks")
    parser.add_argument("--batches", type=int, nargs="*", default=[6, 24])
    parser.add_argument("--grid-stride", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(arguments)
    device = common.start(options)
    middle = (options.size, options.landmarks, options.batch)
    cases = [middle]
    cases += [(size, *middle[1:]) for size in options.sizes]
    cases += [(middle[0], count, middle[2]) for count in options.counts]
    cases += [(*middle[:2], batch) for batch in options.batches]
    rows = [measure(*case, options, device) for case in cases]
    common.report(
        device,
        **{name: rows[0][name] for name in ("pairs_per_second", "step_seconds", "peak_mb")},
        parts=rows[0]["parts"],
        rows=rows,
        **common.chosen(options, "dimension", "grid_stride", "network"),
    )


def measure(size: int, landmarks: int, batch: int, options, device: torch.device) -> dict:
    """Median time of a step, of its parts, and its peak memory."""
    images = common.smooth_images(batch, (size,) * options.dimension, options.seed).to(device)
    options = argparse.Namespace(**vars(options) | {"landmarks": landmarks})
    settings = common.settings_of(options, batch=batch, grid_stride=options.grid_stride)
    every = list(range(batch))
    training = Training(images.__getitem__, images.shape[2:], every, [], settings, options.seed)
    seconds = common.median_seconds(training.step, options.repeats, device)
    memory = common.peak_megabytes(training.step, device)
    timed = [step_parts(training, images) for _ in range(options.repeats)]
    parts = {name: statistics.median(part[name] for part in timed) for name in timed[0]}
    row = {
        "size": size,
        "landmarks": landmarks,
        "batch": batch,
        "step_seconds": seconds,
        "pairs_per_second": batch * (batch - 1) / seconds,
        "peak_mb": memory,
        "parts": parts,
    }
    common.say(str(common.rounded(row)))
    return row


def step_parts(training: Training, images: torch.Tensor) -> dict[str, float]:
    """Seconds of a step's parts, forward and backward together.

    The same operations as `Training.step`, cut where one part hands its result to the next, so
    that each part's gradient can be taken, and timed, by itself.
    """
    seconds = dict.fromkeys(("encoder", "fit", "warp", "loss", "optimizer"), 0.0)

    def timed(part: str, work):
        result = []
        seconds[part] += common.seconds_of(lambda: result.append(work()), images.device)
        return result[0]

    objective, registrar = training.objective, training.objective.registrar

    def encode():
        with torch.autocast("cuda", torch.bfloat16, enabled=images.device.type == "cuda"):
            return training.encoder(images)

    def fit():
        fitted = registrar.fit(points)
        return fitted, registrar.transform(fitted, points)

    landmarks = timed("encoder", encode)
    points = leaf(landmarks)
    fitted, transform = timed("fit", fit)
    counted = (
        ~torch.eye(len(images), dtype=torch.bool, device=images.device) & ~fitted.failed[:, None]
    )
    weights, gradient = counted / counted.sum(), torch.empty_like(transform)
    for block in blocks(len(images), len(images), images[0, 0].numel(), images.device):
        targets, sources = block
        coarse = leaf(transform[block])
        registered = timed("warp", partial(warp_block, registrar, images[sources], coarse))
        compared = leaf(registered)
        match = timed("loss", partial(objective.match, images[targets], compared))
        timed("loss", partial(match.backward, weights[block]))
        timed("warp", partial(registered.backward, compared.grad))
        gradient[block] = coarse.grad
    kappa = training.settings.regularization * mean_condition_number(fitted)
    ones = torch.ones_like(kappa)
    timed("fit", lambda: torch.autograd.backward([transform, kappa], [gradient, ones]))
    training.optimizer.zero_grad()
    timed("encoder", lambda: landmarks.backward(points.grad))

    def update():
        torch.nn.utils.clip_grad_norm_(training.encoder.parameters(), LARGEST_GRADIENT)
        training.optimizer.step()

    timed("optimizer", update)
    return seconds


def warp_block(registrar, images, transform):
    """Sources registered by a block of the coarse transform."""
    return warp.sample(images, registrar.points(transform))


def leaf(tensor: torch.Tensor) -> torch.Tensor:
    """The same values as the start of a graph of their own."""
    return tensor.detach().requires_grad_()


if __name__ == "__main__":
    main()
