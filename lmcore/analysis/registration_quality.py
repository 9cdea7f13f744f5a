"""How well landmarks register images that took no part in training."""

import logging
import os
from collections.abc import Mapping

import h5py
import numpy as np
import pandas as pd
import torch

from lmcore.analysis.intervals import bootstrap_interval
from lmcore.analysis.numbers import number_row, write_numbers
from lmcore.discovery.objective import Registrar
from lmcore.discovery.pairs import fixed_subset
from lmcore.errors import InputError
from lmcore.files import whole_file, write_csv
from lmcore.points.landmarks import check_order, read_landmarks
from lmcore.population.splits import splits_of
from lmcore.population.store import Population
from lmcore.progress import Progress
from lmcore.registration.similarity import squared_difference
from lmcore.registration.warp import folded_share

logger = logging.getLogger("lmcore")

Path = str | os.PathLike
# All ordered pairs of so many test subjects; more add time but hardly any precision.
MOST_SUBJECTS = 40
EXAMPLES = 4


@torch.no_grad()
def register_pairs(
    images: torch.Tensor, landmarks: torch.Tensor, kernel: str
) -> dict[str, np.ndarray]:
    """L2 before and after, and folding, for all ordered pairs of N images on the full grid.

    Arguments:
        images: (N, C, *spatial); landmarks: (N, M, d) in [-1, 1].
    Returns:
        before, after, folded: (N, N) by target, then source; NaN on the diagonal, and in the
        rows of targets whose spline has no solution.
    """
    registrar = Registrar(images.shape[2:], kernel)
    progress = Progress("registration", len(images), "targets")
    found: dict[str, list] = {"before": [], "after": [], "folded": []}
    for index in range(len(images)):
        target = images[index : index + 1]
        result = registrar.register(images, landmarks, landmarks[index : index + 1])
        found["after"].append(squared_difference(target, result.registered)[0])
        found["before"].append(squared_difference(target, images[None])[0])
        found["folded"].append(folded_share(result.points)[0])
        if result.fitted.failed:
            for rows in found.values():
                rows[-1] = torch.full_like(rows[-1], float("nan"))
        progress.update(index + 1)
    matrices = {name: torch.stack(rows).double().numpy() for name, rows in found.items()}
    for matrix in matrices.values():
        np.fill_diagonal(matrix, np.nan)
    return matrices


def pair_statistic(top: np.ndarray, bottom: np.ndarray | None = None):
    """Mean over pairs (or a ratio of two) as a function of bootstrap weights of the subjects.

    Pairs share subjects, so it is subjects that are drawn: a pair counts as often as the
    product of its two, and a pair of a subject with itself never.
    """

    def statistic(weights: np.ndarray) -> np.ndarray:
        counted = np.isfinite(top)
        above = np.einsum("rt,ts,rs->r", weights, np.where(counted, top, 0), weights)
        below = np.where(counted, 1.0 if bottom is None else bottom, 0)
        with np.errstate(invalid="ignore"):  # a draw of one subject alone has no pair: NaN
            return above / np.einsum("rt,ts,rs->r", weights, below, weights)

    return statistic


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
) -> None:
    """Register all pairs of test subjects by all landmarks and by the retained ones.

    Arguments:
        population_path: population.h5.
        subjects_path: subjects.csv; only subjects of the split `test` take part.
        all_path, retained_path: landmark tables.
        kernel: of the spline.
        seed: of the choice of subjects and of the bootstrap.
        output: one row a pair; numbers: KEY.numbers.csv; examples: examples.h5.
    Raises:
        InputError: with fewer than two test subjects, or if no spline of them can be solved.
    """
    every, kept = read_landmarks(all_path), read_landmarks(retained_path)
    splits = splits_of(subjects_path)
    with Population(population_path) as population:
        for table, path in ((every, all_path), (kept, retained_path)):
            check_order(table, population.subjects, path)
        test = [i for i, subject in enumerate(population.subjects) if splits[subject] == "test"]
        if len(test) < 2:
            raise InputError("split test needs two subjects to register: change population.split")
        chosen = fixed_subset(test, MOST_SUBJECTS, seed)
        subjects = [population.subjects[i] for i in chosen]
        images = torch.from_numpy(population.images(chosen))
    points = torch.from_numpy(every.normalised[chosen])
    whole = register_pairs(images, points, kernel)
    reduced = register_pairs(images, torch.from_numpy(kept.normalised[chosen]), kernel)
    if np.isnan(whole["after"]).all():
        raise InputError(
            "the landmarks of every test subject coincide, so none can be registered: "
            "raise training.regularization"
        )
    write_csv(output, _pair_table(subjects, whole, reduced))
    pairs, n = int(np.isfinite(whole["after"]).sum()), len(subjects)

    def row(name: str, unit: str, top: np.ndarray, bottom: np.ndarray | None = None) -> dict:
        statistic = pair_statistic(top, bottom)
        value = float(statistic(np.ones((1, n)))[0])
        # two subjects make one pair and no interval
        interval = bootstrap_interval(statistic, n, seed) if n > 2 else None
        return number_row(name, value, unit, pairs, interval)

    write_numbers(
        numbers,
        [
            row("registration_loss_ratio", "", whole["after"], whole["before"]),
            row("registration_loss_ratio_retained", "", reduced["after"], reduced["before"]),
            row("registration_loss_before", "intensity^2", whole["before"]),
            row("registration_loss_after", "intensity^2", whole["after"]),
            row("folded_share", "", whole["folded"]),
            number_row("landmarks_discovered", len(every.numbers), "", len(every.subjects)),
            number_row("landmarks_retained", len(kept.numbers), "", len(kept.subjects)),
        ],
    )
    _write_examples(examples, images, points, subjects, every.numbers, kept.numbers, kernel)


def _pair_table(subjects: list[str], whole: Mapping, reduced: Mapping) -> pd.DataFrame:
    target, source = np.nonzero(~np.eye(len(subjects), dtype=bool))
    names = np.array(subjects, dtype=object)
    return pd.DataFrame(
        {
            "target": names[target],
            "source": names[source],
            "loss_before": whole["before"][target, source],
            "loss_after": whole["after"][target, source],
            "loss_after_retained": reduced["after"][target, source],
            "folded_share": whole["folded"][target, source],
        }
    )


@torch.no_grad()
def _write_examples(path, images, points, subjects, numbers, retained, kernel) -> None:
    """Some registrations of subjects that are far apart in the table, for the figures."""
    registrar = Registrar(images.shape[2:], kernel)
    count = min(EXAMPLES, len(subjects))
    first = [k * len(subjects) // count for k in range(count)]
    pairs = [(k, (k + len(subjects) // 2) % len(subjects)) for k in first]
    sources, targets = (list(side) for side in zip(*pairs, strict=True))
    registered, grids = [], []
    for source, target in pairs:
        one = slice(source, source + 1)
        result = registrar.register(images[one], points[one], points[target : target + 1])
        registered.append(result.registered[0, 0, 0])
        grids.append(result.points[0, 0])
    text = h5py.string_dtype()
    content = {
        "source": images[sources, 0].numpy(),
        "target": images[targets, 0].numpy(),
        "registered": torch.stack(registered).numpy(),
        "grid_points": torch.stack(grids).float().numpy(),
        "source_points": points[sources].numpy(),
        "target_points": points[targets].numpy(),
        "numbers": np.array(numbers),
        "retained": np.isin(numbers, retained),
    }
    with whole_file(path) as temporary, h5py.File(temporary, "w", locking=False) as file:
        for name, values in content.items():
            file.create_dataset(name, data=values, track_times=False)
        for name, chosen in (("source_subjects", sources), ("target_subjects", targets)):
            ids = [subjects[k] for k in chosen]
            file.create_dataset(name, data=ids, dtype=text, track_times=False)
