"""Dice and Hausdorff distance of few real scans, each held out once, or once a repeat.

The subjects are cut into folds; for each an encoder is trained without it, and all ordered pairs
of the fold are registered. So every subject is scored by an encoder that never saw it, which a
single split of a dozen scans leaves to chance. Training runs its full length; nothing is chosen
by the subjects held out. Further repeats draw other folds and train anew: a subject meets more of
the others, and chance of a training counts less. Intervals are a bootstrap over subjects.
"""

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common, tables
from benchmarks.choices import configured, training_settings
from lmcore.analysis.intervals import bootstrap_interval
from lmcore.analysis.registration_pairs import (
    Sample,
    by_affine,
    by_spline,
    measure_pairs,
    unregistered,
)
from lmcore.analysis.registration_quality import pair_statistic
from lmcore.discovery.guidance import guidance
from lmcore.discovery.inference import find_landmarks
from lmcore.discovery.pairs import Images
from lmcore.discovery.settings import TrainingSettings
from lmcore.discovery.trainer import Training
from lmcore.errors import InputError
from lmcore.population.store import Population
from lmcore.seeds import derive_seed

MEASURES = ("dice", "hd95")


def main(arguments: list[str] | None = None) -> None:
    """Print the scores; a user's error is one line and exit code 1."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    begin = time.monotonic()
    try:
        run = configured(options, tuple(options.size or (64, 64, 64)))
        with tempfile.TemporaryDirectory() as folder:
            path, *_ = tables.prepare(
                options.table, None, None, run, options.seed, Path(folder), options.threads
            )
            with Population(path) as population:
                seeds = range(options.seed, options.seed + options.repeats)
                found = measure(population, training_settings(run), options.folds, seeds)
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
    seconds = {"seconds": time.monotonic() - begin}
    common.report(torch.device(options.device), **found, **seconds)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--table", type=Path, required=True, help="of the subjects, with segmentations")
    add("--folds", type=int, default=4)
    add("--repeats", type=int, default=1, help="of the folds, with the seeds that follow")
    add("--recipe", choices=("paper", "robust"), default="robust")
    add("--seed", type=int, default=1, help="of the folds and the trainings")
    add("--landmarks-count", type=int, help="32 unless given")
    add("--size", type=int, nargs="+", help="depth height width; chosen by the scans")
    add("--pairs", type=int, help="of images to see")
    add(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE",
        help="such as training.batch=8; may be given again",
    )  # fmt: skip
    add("--threads", type=int, default=2, help="CPU threads of torch")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="of the trainings")
    parser.set_defaults(class_column=None)
    return parser.parse_args(arguments)


def measure(
    population: Population, settings: TrainingSettings, folds: int, seeds: Sequence[int]
) -> dict:
    """Mean scores of the pairs that were in a fold, before registration and after it.

    Arguments:
        seeds: one for each repeat.
    Raises:
        InputError: if a fold would have fewer than two subjects with a segmentation.
    """
    segmented = np.flatnonzero(population.segmented)
    if len(segmented) < 2 * folds:
        raise InputError(f"{len(segmented)} subjects with segmentations make no {folds} folds")
    n = len(population.subjects)
    every = {}  # name -> one (n, n) a fold, NaN but for its pairs
    for seed in seeds:
        order = np.random.default_rng(derive_seed(seed, "folds")).permutation(segmented)
        for number in range(folds):
            held_out = sorted(order[number::folds].tolist())
            train = [i for i in range(n) if i not in held_out]
            fold = f"seed {seed}, fold {number + 1} of {folds}"
            common.say(f"{fold}: {len(train)} train, {len(held_out)} held out")
            for name, values in score(population, train, held_out, settings, seed).items():
                np.fill_diagonal(values, np.nan)
                pairs = np.full((n, n), np.nan)
                pairs[np.ix_(held_out, held_out)] = values
                every.setdefault(name, []).append(pairs)
            common.say(f"  mean gain of Dice so far {np.nanmean(every['dice_gain']):.4f}")
    means = {name: mean_of_repeats(np.stack(matrices)) for name, matrices in every.items()}
    found = {name: float(np.nanmean(pairs)) for name, pairs in means.items()}
    intervals = {
        name: bootstrap_interval(pair_statistic(pairs), n, seeds[0])
        for name, pairs in means.items()
    }
    gain = means["dice_gain"]
    of_subject = np.nanmean(np.stack([gain, gain.T])[..., segmented], axis=(0, 1))
    return {
        **found,
        "intervals": intervals,
        "dice_gain_of_subjects": np.round(of_subject, 3).tolist(),
        "folds": folds,
        "repeats": len(seeds),
        "subjects": len(segmented),
        "size": list(population.shape),
        "settings": asdict(settings),
    }


def mean_of_repeats(matrices: np.ndarray) -> np.ndarray:
    """(n, n) mean of (K, n, n) over the entries that are there, NaN where none is."""
    there = np.isfinite(matrices)
    counts = there.sum(axis=0)
    return np.where(there, matrices, 0).sum(axis=0) / np.where(counts, counts, np.nan)


def score(
    population: Population,
    train: list[int],
    held_out: list[int],
    settings: TrainingSettings,
    seed: int,
) -> dict[str, np.ndarray]:
    """(n, n) of the subjects held out, target before source: MEASURE_before, _affine, _after."""
    seed = derive_seed(seed, "training")
    training = Training(
        Images(population, train),
        population.shape,
        train,
        [],
        settings,
        seed,
        **guidance(population, train, [], settings, seed),
    )
    points = torch.from_numpy(find_landmarks(training.run().encoder.cpu(), population, held_out))
    sample = Sample.of(population, held_out)
    ways = {
        "before": unregistered(sample),
        "affine": by_affine(sample, points),
        "after": by_spline(sample, points, settings.kernel),
    }
    found = {}
    for way, registration in ways.items():
        for name, values in measure_pairs(sample, registration, MEASURES, way).items():
            found[f"{name}_{way}"] = np.where(np.isfinite(values), values, np.nan)
    return found | {"dice_gain": found["dice_after"] - found["dice_before"]}


if __name__ == "__main__":
    main()
