"""Seconds of training until a set validation loss: ours and the literal method.

The honest headline: the pairs of one of our batches share images, so a pair of ours may teach
less than one drawn alone. The target is fixed beforehand as a share of the unregistered loss of
the validation pairs. Every seed is another population of warped phantoms, other weights and
another order. Both methods have the same images and optimizer, and the same validation: all ordered
pairs of the validation images on the full grid, whenever training time has grown by `STEP`, its
own time not counted. With the paper's recipe they also have the same network, initial weights and
objective; `--recipe robust` and `--own-network` ask what a user gains who leaves the paper's
method for ours altogether. Where the
literal method does not arrive by the cap it counts with the cap, and the ratio is a lower bound;
where ours does not, there is no ratio.
"""

import math
import statistics
import sys
from dataclasses import replace
from pathlib import Path

import torch
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common
from benchmarks.literal import LiteralTraining
from lmcore.discovery.recipes import RECIPES
from lmcore.discovery.trainer import Training, evaluate

STEP = 1.05
FIRST_VALIDATION = 0.2  # seconds
WEIGHTS = {"paper": 1e-6, "robust": 1e-2}  # lambda in each recipe's units


def seconds_to(training, validate, target: float, cap: float, device) -> tuple[float, bool]:
    """Seconds in steps until `validate` gives at most `target`, and whether it did by the cap."""
    spent, due = 0.0, FIRST_VALIDATION
    while spent < cap:
        try:
            spent += common.seconds_of(training.step, device)
        except torch.linalg.LinAlgError:  # landmarks met; nothing in the paper's method goes on
            common.say(f"  broke after {training.pairs:,} pairs: a singular system")
            return cap, False
        if spent >= due or spent >= cap:
            due = spent * STEP
            loss = validate(training.encoder)
            common.say(f"  {spent:.4g} s, {training.pairs:,} pairs: {loss:.5f} of {target:.5f}")
            if loss <= target:
                return spent, True
    return spent, False


def geometric_interval(ratios: list[float]) -> tuple[float, float | None, float | None]:
    """Geometric mean of ratios, 95 % interval by Student's t on the logarithms (none of one)."""
    logs = [math.log(ratio) for ratio in ratios]
    middle = statistics.mean(logs)
    if len(logs) < 2:
        return math.exp(middle), None, None
    half = stats.t.ppf(0.975, len(logs) - 1) * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(middle), math.exp(middle - half), math.exp(middle + half)


def main(arguments: list[str] | None = None) -> None:
    """Print the ratio of times with its interval over the seeds."""
    parser = common.compared_parser(__doc__.splitlines()[0], size=64)
    parser.add_argument("--seeds", type=int, default=3, help="how many, from --seed on")
    parser.add_argument("--images", type=int, default=60, help="to train on")
    parser.add_argument("--validation", type=int, default=12, help="images")
    parser.add_argument("--batch", type=int, default=12, help="images a step of ours")
    parser.add_argument("--recipe", choices=tuple(RECIPES), default="paper", help="of ours")
    parser.add_argument("--own-network", choices=tuple(common.NETWORKS), help="of ours, if another")
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="of ours")
    parser.add_argument("--literal-learning-rate", type=float, default=1e-4)
    parser.add_argument("--share", type=float, default=0.5, help="of the unregistered loss")
    parser.add_argument("--cap", type=float, default=120.0, help="seconds of training a method")
    options = parser.parse_args(arguments)
    device = common.start(options)
    settings = common.settings_of(
        options,
        batch=options.batch,
        grid_stride=options.grid_stride,
        learning_rate=options.learning_rate,
    )
    runs = [one_seed(seed, options, settings, device) for seed in seeds_of(options)]
    ratio = low = high = None
    if all(run["reached"] for run in runs):
        ratio, low, high = geometric_interval([run["ratio"] for run in runs])
    common.report(
        device,
        ratio=ratio,
        ci_low=low,
        ci_high=high,
        seconds=statistics.mean(run["seconds"] for run in runs),
        naive_seconds=statistics.mean(run["naive_seconds"] for run in runs),
        target_loss=statistics.mean(run["target_loss"] for run in runs),
        target_share=options.share,
        reached=all(run["reached"] for run in runs),
        naive_reached=all(run["naive_reached"] for run in runs),
        ratio_is_lower_bound=ratio is not None and not all(run["naive_reached"] for run in runs),
        runs=runs,
        **common.chosen(
            options,
            "batch",
            "recipe",
            "own_network",
            "literal_pairs",
            "learning_rate",
            "literal_learning_rate",
            "grid_stride",
            "size",
            "landmarks",
            "network",
        ),
    )


def seeds_of(options) -> range:
    """The seeds to run."""
    return range(options.seed, options.seed + options.seeds)


def one_seed(seed: int, options, settings, device: torch.device) -> dict:
    """Both methods on one population from the same initial weights."""
    count = options.images
    images = common.toy_images(count + options.validation, options.size, seed).to(device)
    train, validation = images[:count], images[count:]
    target = options.share * unregistered_loss(validation)

    def ours():
        every = list(range(count))
        own = replace(
            settings,
            recipe=options.recipe,
            regularization=WEIGHTS[options.recipe],
            **common.NETWORKS[options.own_network or options.network],
        )
        return Training(train.__getitem__, train.shape[2:], every, [], own, seed)

    def naive():
        literal = replace(settings, learning_rate=options.literal_learning_rate)
        return LiteralTraining(train, literal, seed, options.literal_pairs)

    def validate(encoder):
        return evaluate(encoder, validation, settings, device)[0]

    result = {"seed": seed, "target_loss": target}
    for prefix, make in (("", ours), ("naive_", naive)):
        make().step()  # warm-up on a training that is thrown away
        common.say(f"seed {seed}, {'literal' if prefix else 'ours'}")
        training = make()
        seconds, reached = seconds_to(training, validate, target, options.cap, device)
        result |= {
            f"{prefix}seconds": seconds,
            f"{prefix}reached": reached,
            f"{prefix}pairs": training.pairs,
        }
    ratio = result["naive_seconds"] / result["seconds"] if result["reached"] else None
    return result | {"ratio": ratio}


def unregistered_loss(images: torch.Tensor) -> float:
    """Mean squared difference over all pairs of two different images as they are."""
    losses = [(images - image).square().mean(dim=(1, 2, 3)).sum() for image in images]
    return float(sum(losses) / (len(images) * (len(images) - 1)))


if __name__ == "__main__":
    main()
