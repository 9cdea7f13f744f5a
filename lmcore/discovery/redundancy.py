"""Redundancy removal: which landmarks the registration can do without (section 3.3)."""

import logging
import os

import numpy as np
import pandas as pd
import torch

from lmcore.discovery.pairs import fixed_subset
from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.points.landmarks import check_order, read_landmarks
from lmcore.population.splits import splits_of
from lmcore.population.store import Population
from lmcore.progress import Progress
from lmcore.registration import spline, warp

logger = logging.getLogger("lmcore")

# Enough to rank by, and quick: every ordered pair of RANKING_SUBJECTS images of the training
# split, compared at RANKING_POINTS random pixels. What is reported is on the full grid.
RANKING_SUBJECTS = 12
RANKING_POINTS = 4096


class Target:
    """One target, the sources registered to it, and what is left of its landmarks.

    Arguments:
        image: (C, *spatial) target.
        landmarks: (M, d) of the target, without corners.
        sources: (S, C, *spatial) images.
        source_landmarks: (S, M, d).
        grid: (P, d) points at which images are compared.
        kernel: of the spline.
    """

    def __init__(self, image, landmarks, sources, source_landmarks, grid, kernel):
        self.sources = sources
        fitted = spline.fit(spline.with_corners(landmarks[None]), kernel)
        self.failed = bool(fitted.failed)
        self.splines = spline.LeaveOneOut.of(fitted, grid, spline.with_corners(source_landmarks))
        self.values = self._sample(image[None], grid.float().expand(1, 1, -1, -1))[0, 0]

    @staticmethod
    def _sample(images: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """(C, S, channels, P) from images (S, channels, *spatial) at points (C, S, P, d)."""
        dimension = points.shape[-1]
        for _ in range(dimension - 1):  # `sample` wants a grid of d axes
            points = points.unsqueeze(2)
        return warp.sample(images, points).flatten(3)

    def loss(self) -> float:
        """Mean squared difference with the landmarks that are left."""
        registered = self._sample(self.sources, self.splines.transform[None])
        return float((registered - self.values).square().mean())

    def losses_without(self, candidates: list[int]) -> torch.Tensor:
        """(C,) mean squared difference with each candidate left out in turn."""
        found = []
        for index in candidates:
            registered = self._sample(self.sources, self.splines.without([index]))
            found.append((registered - self.values).square().mean())
        return torch.stack(found)


@torch.no_grad()
def removal_order(targets: list[Target], count: int, what: str = "redundancy") -> pd.DataFrame:
    """The full greedy order for fixed pairs, least important landmark first.

    Arguments:
        targets: each with `count` learned landmarks (and corners, which stay).
        count: number of learned landmarks.
        what: named in progress.
    Returns:
        step, landmark (from 1), loss_before, loss_after, change: one row a removal.
    """
    remaining = list(range(count))
    before = float(np.mean([target.loss() for target in targets]))
    progress = Progress(what, count * (count + 1) // 2 * len(targets), "trials")
    rows, done = [], 0
    for step in range(1, count + 1):
        losses = torch.zeros(len(remaining), dtype=torch.float64)
        for target in targets:
            losses += target.losses_without(remaining).double() / len(targets)
            done += len(remaining)
            progress.update(done, landmarks=len(remaining))
        chosen = remaining.pop(int(losses.argmin()))
        after = float(losses.min())
        for target in targets:
            target.splines.remove(chosen)
        rows.append((step, chosen + 1, before, after, after - before))
        before = after
    return pd.DataFrame(rows, columns=["step", "landmark", "loss_before", "loss_after", "change"])


def rank_landmarks(
    population_path: str | os.PathLike,
    subjects_path: str | os.PathLike,
    landmarks_path: str | os.PathLike,
    kernel: str,
    seed: int,
    output: str | os.PathLike,
) -> None:
    """Write the greedy removal order of a population's landmarks, from training subjects alone.

    Arguments:
        population_path: population.h5.
        subjects_path: subjects.csv; only subjects of the split `train` are looked at.
        landmarks_path: landmarks of all subjects.
        kernel: of the spline.
        seed: chooses the subjects and the pixels.
        output: importance.csv.
    Raises:
        InputError: with fewer than two training subjects, or where no spline can be solved.
    """
    landmarks, splits = read_landmarks(landmarks_path), splits_of(subjects_path)
    with Population(population_path) as population:
        check_order(landmarks, population.subjects, landmarks_path)
        train = [i for i, name in enumerate(population.subjects) if splits[name] == "train"]
        if len(train) < 2:
            raise InputError("ranking landmarks needs two subjects in the training split")
        chosen = fixed_subset(train, RANKING_SUBJECTS, seed)
        images = torch.from_numpy(population.images(chosen))
    points = torch.from_numpy(landmarks.normalised[chosen])
    grid = spline.regular_grid(images.shape[2:])
    generator = torch.Generator().manual_seed(seed)
    grid = grid[torch.randperm(len(grid), generator=generator)[:RANKING_POINTS].sort().values]
    targets = []
    for index in range(len(chosen)):
        others = [k for k in range(len(chosen)) if k != index]
        target = Target(images[index], points[index], images[others], points[others], grid, kernel)
        if not target.failed:
            targets.append(target)
    if not targets:
        raise InputError(
            "the landmarks of every training subject coincide, so no spline can be solved: "
            "raise training.regularization"
        )
    if len(targets) < len(chosen):
        logger.info(f"{len(chosen) - len(targets)} targets left out: their landmarks coincide")
    order = removal_order(targets, points.shape[1])
    numbers = np.array(landmarks.numbers)
    order["landmark"] = numbers[order["landmark"] - 1]
    write_csv(output, order)


def select_landmarks(
    importance_path: str | os.PathLike,
    landmarks_path: str | os.PathLike,
    output: str | os.PathLike,
    retain: int | None = None,
    threshold: float | None = None,
) -> int:
    """Keep landmarks by count, or remove until the loss would rise by more than a threshold.

    With neither all are kept; with both the threshold decides.

    Arguments:
        importance_path: the greedy order; landmarks_path: landmarks/all.csv.
        output: landmarks/retained.csv; landmark numbers keep their meaning.
        retain: how many to keep.
        threshold: largest change of the loss by a removal, in its units.
    Returns:
        how many are kept.
    Raises:
        InputError: if more are to be kept than there are, or none would be left.
    """
    order = pd.read_csv(importance_path)
    if threshold is None:
        retain = len(order) if retain is None else retain
        if retain > len(order):
            raise InputError(
                f"redundancy.retain is {retain}, but only {len(order)} landmarks were discovered"
            )
        removed = len(order) - retain
    else:
        too_much = np.flatnonzero(order["change"].to_numpy() > threshold)
        removed = int(too_much[0]) if len(too_much) else len(order)
        if removed == len(order):
            raise InputError(
                f"redundancy.threshold {threshold:g} would remove every landmark: lower it"
            )
    kept = set(order["landmark"].iloc[removed:])
    # as text, so that a subject 001 or NA keeps its name and a number its digits
    table = pd.read_csv(landmarks_path, dtype=str, keep_default_na=False)
    write_csv(output, table[table["landmark"].astype(int).isin(kept)])
    return len(kept)
