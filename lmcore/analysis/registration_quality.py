"""How well landmarks register images that took no part in training."""

import logging
import os
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from lmcore.analysis.intervals import bootstrap_interval
from lmcore.analysis.numbers import number_row, write_numbers
from lmcore.analysis.registration_examples import register_examples, write_examples
from lmcore.analysis.registration_pairs import (
    MEASURES,
    Sample,
    by_affine,
    by_spline,
    measure_pairs,
    unregistered,
)
from lmcore.discovery.pairs import fixed_subset
from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.points.landmarks import check_order, read_landmarks
from lmcore.population.splits import read_splits
from lmcore.population.store import Population

logger = logging.getLogger("lmcore")

Path = str | os.PathLike
# All ordered pairs of so many test subjects; more add time but hardly any precision.
MOST_SUBJECTS = 40
EXAMPLES = 4


def evaluate_registration(
    population_path: Path,
    subjects_path: Path,
    all_path: Path,
    retained_path: Path,
    kernel: str,
    seed: int,
    output: Path,
    numbers: Path,
    examples: Path,
    class_column: str | None = None,
) -> None:
    """Register all pairs of test subjects by all landmarks and by the retained ones.

    Arguments:
        population_path: population.h5; its segmentations and its mask are used where it has any.
        subjects_path: subjects.csv; only subjects of the split `test` take part.
        all_path, retained_path: landmark tables.
        kernel: of the spline.
        seed: of the choice of subjects and of the bootstrap.
        output: one row a pair; numbers: KEY.numbers.csv; examples: examples.h5.
        class_column: of subjects.csv; with segmentations, pairs of two classes also have a Dice of
            their own.
    Raises:
        InputError: with fewer than two test subjects, or if no spline of them can be solved.
    """
    every, kept = read_landmarks(all_path), read_landmarks(retained_path)
    known = read_splits(subjects_path).set_index("subject")
    with Population(population_path) as population:
        for table, path in ((every, all_path), (kept, retained_path)):
            check_order(table, population.subjects, path)
        splits = known.loc[population.subjects, "split"]
        test = np.flatnonzero(splits == "test").tolist()
        if len(test) < 2:
            raise InputError("split test needs two subjects to register: change population.split")
        chosen = fixed_subset(test, MOST_SUBJECTS, seed)
        sample = Sample.of(population, chosen)
    points, fewer = (torch.from_numpy(table.normalised[chosen]) for table in (every, kept))
    found = register_pairs(sample, points, fewer, kernel)
    if np.isnan(found["loss_after"]).all():
        raise InputError(
            "the landmarks of every test subject coincide, so none can be registered: "
            "raise training.regularization"
        )
    write_csv(output, _pair_table(sample.subjects, found))
    unit = "mm" if len(sample.shape) == 3 else "pixel"
    classes = None
    if class_column:
        classes = known.loc[sample.subjects, class_column].to_numpy(dtype=str)
    counts = [
        number_row("landmarks_discovered", len(every.numbers), "", len(every.subjects)),
        number_row("landmarks_retained", len(kept.numbers), "", len(kept.subjects)),
    ]
    write_numbers(numbers, registration_numbers(found, unit, seed, classes) + counts)
    content, _ = register_examples(sample, points, example_pairs(sample), every, kept, kernel)
    write_examples(examples, content)


def register_pairs(
    sample: Sample, landmarks: torch.Tensor, retained: torch.Tensor, kernel: str
) -> dict[str, np.ndarray]:
    """Similarity of all ordered pairs before registration and after it, in several ways.

    Arguments:
        landmarks: (N, M, d) in [-1, 1]; retained: (N, fewer, d) those kept.
    Returns:
        (N, N) by target, then source, as of `measure_pairs`; named MEASURE_before, MEASURE_affine
        (by an affine map alone), MEASURE_after, MEASURE_after_retained, and folded_share. Of a
        target whose spline has no solution all are NaN, but for those of the retained landmarks
        if theirs has one.
    """
    both = ("loss", "dice")
    every = (*both, "masked_loss", "hd95")
    whole, fewer = (by_spline(sample, points, kernel) for points in (landmarks, retained))
    ways = {
        "before": measure_pairs(sample, unregistered(sample), every, "before registration"),
        "affine": measure_pairs(sample, by_affine(sample, landmarks), both, "affine registration"),
        "after": measure_pairs(sample, whole, MEASURES, "registration"),
        "after_retained": measure_pairs(sample, fewer, both, "registration by the retained"),
    }
    folded = ways["after"].pop("folded_share")
    failed = np.isnan(folded).all(axis=1)
    for way in ("before", "affine"):
        for matrix in ways[way].values():
            matrix[failed] = np.nan
    columns = [(measure, way) for measure in MEASURES for way in ways if measure in ways[way]]
    found = {f"{measure}_{way}": ways[way][measure] for measure, way in columns}
    return found | {"folded_share": folded}


def pair_statistic(top: np.ndarray, bottom: np.ndarray | None = None):
    """Mean over pairs (or a ratio of two) as a function of bootstrap weights of the subjects.

    Pairs share subjects, so it is subjects that are drawn: a pair counts as often as the
    product of its two, and a pair of a subject with itself never.
    """
    counted = np.isfinite(top) if bottom is None else np.isfinite(top) & np.isfinite(bottom)
    above, below = (
        np.where(counted, values, 0) for values in (top, 1.0 if bottom is None else bottom)
    )

    def statistic(weights: np.ndarray) -> np.ndarray:
        total, over = (
            np.einsum("rs,rs->r", weights @ values, weights) for values in (above, below)
        )
        with np.errstate(invalid="ignore"):  # a draw of one subject alone has no pair: NaN
            return total / over

    return statistic


def registration_numbers(
    found: Mapping[str, np.ndarray], unit: str, seed: int, classes: np.ndarray | None = None
) -> list[dict]:
    """Rows of `number_row` of what `register_pairs` found; intervals are over subjects.

    Arguments:
        unit: of the distances; seed: of the bootstrap.
        classes: (N,) labels, "" without one. dice_between_before and dice_between_after are of the
            pairs whose labels differ, where there are any.
    """
    lost = int(np.isinf(found["hd95_after"]).sum()) if "hd95_after" in found else 0
    if lost:
        logger.warning(
            f"{lost} registered segmentations are empty: their dice counts as 0, hd95_before and "
            "hd95_after are without them"
        )

    def row(name: str, unit: str, top: np.ndarray, bottom: np.ndarray | None = None) -> dict:
        return _pair_row(name, unit, top, bottom, seed)

    def ratio(name: str, after: str, before: str) -> dict:
        return row(name, "", found[after], found[before])

    rows = [
        ratio("registration_loss_ratio", "loss_after", "loss_before"),
        ratio("registration_loss_ratio_retained", "loss_after_retained", "loss_before"),
        ratio("affine_loss_ratio", "loss_affine", "loss_before"),
    ]
    if "masked_loss_after" in found:
        rows.append(ratio("masked_loss_ratio", "masked_loss_after", "masked_loss_before"))
    rows += [
        row("registration_loss_before", "intensity^2", found["loss_before"]),
        row("registration_loss_after", "intensity^2", found["loss_after"]),
        row("folded_share", "", found["folded_share"]),
    ]
    if "dice_after" in found:
        ways = ("before", "affine", "after", "after_retained")
        rows += [row(f"dice_{way}", "", found[f"dice_{way}"]) for way in ways]
        rows.append(row("dice_gain", "", found["dice_after"] - found["dice_before"]))
        between = _between(classes, found["dice_after"])
        if between.any():
            rows += [
                row(f"dice_between_{way}", "", np.where(between, found[f"dice_{way}"], np.nan))
                for way in ("before", "after")
            ]
        distances = {way: found[f"hd95_{way}"] for way in ("before", "after")}
        both = np.all([np.isfinite(matrix) for matrix in distances.values()], axis=0)
        rows += [
            row(f"hd95_{way}", unit, np.where(both, matrix, np.nan))
            for way, matrix in distances.items()
        ]
    return rows


def _between(classes: np.ndarray | None, measured: np.ndarray) -> np.ndarray:
    """(N, N) bool: pairs of two classes that were measured."""
    if classes is None:
        return np.zeros(measured.shape, bool)
    labelled = classes != ""
    differ = (classes[:, None] != classes) & labelled[:, None] & labelled
    return differ & np.isfinite(measured)


def _pair_row(name: str, unit: str, top: np.ndarray, bottom: np.ndarray | None, seed: int) -> dict:
    """The mean of pairs (or a ratio of two), its interval over the subjects that are in any."""
    counted = np.isfinite(top) if bottom is None else np.isfinite(top) & np.isfinite(bottom)
    members = np.flatnonzero(counted.any(axis=0) | counted.any(axis=1))
    inside, n = np.ix_(members, members), len(members)
    statistic = pair_statistic(top[inside], None if bottom is None else bottom[inside])
    value = float(statistic(np.ones((1, n)))[0])
    # two subjects make one pair and no interval
    interval = bootstrap_interval(statistic, n, seed) if n > 2 else None
    return number_row(name, value, unit, int(counted.sum()), interval)


def _pair_table(subjects: list[str], found: Mapping[str, np.ndarray]) -> pd.DataFrame:
    target, source = np.nonzero(~np.eye(len(subjects), dtype=bool))
    names = np.array(subjects, dtype=object)
    columns = {name: matrix[target, source] for name, matrix in found.items()}
    return pd.DataFrame({"target": names[target], "source": names[source]} | columns)


def example_pairs(sample: Sample) -> list[tuple[int, int]]:
    """(source, target) of some subjects that are far apart in the table, for the figures.

    Where two subjects or more have a segmentation, only such are chosen.
    """
    segmented = sample.segmentations is not None
    members = np.flatnonzero(sample.segmented) if segmented else np.arange(len(sample.subjects))
    count, n = min(EXAMPLES, len(members)), len(members)
    first = [k * n // count for k in range(count)]
    return [(int(members[k]), int(members[(k + n // 2) % n])) for k in first]
