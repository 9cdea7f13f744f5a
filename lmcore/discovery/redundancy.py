"""Redundancy removal: which landmarks the registration can do without (section 3.3)."""

import logging
import math
import os
from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from lmcore.discovery.pairs import fixed_subset
from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.memory import require_memory
from lmcore.points.landmarks import check_order, read_landmarks
from lmcore.population.seen import digests_seen, write_seen
from lmcore.population.splits import splits_of
from lmcore.population.store import Population
from lmcore.progress import Progress
from lmcore.registration import spline, warp
from lmcore.registration.leave_one_out import LeaveOneOut

logger = logging.getLogger("lmcore")

# Enough to rank by, and quick: every ordered pair of RANKING_SUBJECTS images of the training
# split, compared at RANKING_POINTS random pixels. What is reported is on the full grid.
RANKING_SUBJECTS = 12
RANKING_POINTS = 4096
DRAWING_BYTES = 32  # a pixel of the image, while the random ones are drawn


class Target:
    """One target, the sources registered to it, and what is left of its landmarks.

    Arguments:
        image: (C, *spatial) target.
        landmarks: (M, d) of the target, without corners.
        sources: (S, C, *spatial) images.
        source_landmarks: (S, M, d).
        grid: (P, d) points at which images are compared.
        kernel: of the spline.
        mask: (P,) weight at each point, which multiplies both images (Eq. 9); None is 1.
    """

    def __init__(self, image, landmarks, sources, source_landmarks, grid, kernel, mask=None):
        self.sources, self.mask = sources, mask
        fitted = spline.fit(spline.with_corners(landmarks[None]), kernel)
        self.failed = bool(fitted.failed)
        self.splines = LeaveOneOut.of(fitted, grid, spline.with_corners(source_landmarks))
        self.values = self._sample(image[None], grid.T.float()[None])

    @staticmethod
    def _sample(images: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
        """(S, channels, P) from images (S, channels, *spatial) at points (S, d, P)."""
        places = points.mT.unflatten(1, (-1, *[1] * (points.shape[1] - 1)))  # a grid of d axes
        return warp.sample(images, places[None])[0].flatten(2)

    def _loss(self, points: torch.Tensor) -> torch.Tensor:
        """Mean squared difference of the sources at their points (S, d, P), 0-d."""
        difference = self._sample(self.sources, points).sub_(self.values)
        if self.mask is not None:
            difference.mul_(self.mask)
        return difference.square_().mean()

    def loss(self) -> float:
        """Mean squared difference with the landmarks that are left."""
        return float(self._loss(self.splines.transform))

    def losses_without(self, candidates: list[int]) -> torch.Tensor:
        """(C,) mean squared difference with each candidate left out in turn."""
        return torch.stack([self._loss(self.splines.without(index)) for index in candidates])


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
    seen_path: str | os.PathLike,
    region: bool = False,
    trained_on: str | Mapping[str, int] = "train",
    person_column: str | None = None,
) -> None:
    """Write the greedy removal order of a population's landmarks, from training subjects alone.

    Arguments:
        population_path: population.h5.
        subjects_path: subjects.csv; only subjects that train are looked at.
        landmarks_path: landmarks of all subjects.
        kernel: of the spline.
        seed: chooses the subjects and the pixels.
        output: importance.csv; seen_path: whose images were read, see `write_seen`.
        region: compare only where the population's mask is above 0, both images times the mask.
        trained_on, person_column: see `splits_of`; whom the encoder has not seen ranks nothing.
    Raises:
        InputError: with fewer than two training subjects, without a mask where one is asked for,
            or where no spline can be solved.
    """
    landmarks = read_landmarks(landmarks_path)
    splits = splits_of(subjects_path, trained_on, person_column)
    with Population(population_path) as population:
        check_order(landmarks, population.subjects, landmarks_path)
        train = [i for i, name in enumerate(population.subjects) if splits[name] == "train"]
        if len(train) < 2:
            raise InputError("ranking landmarks needs two subjects in the training split")
        chosen = fixed_subset(train, RANKING_SUBJECTS, seed)
        images = _twice_around(population, chosen)
        mask = _region_of(population) if region else None
        write_seen(seen_path, population, digests_seen(population))
    points = torch.from_numpy(landmarks.normalised[[*chosen, *chosen]])
    places = _ranking_places(images.shape[2:], mask, seed)
    grid = _points(images.shape[2:], places)
    weights = None if mask is None else mask.flatten()[places]
    targets = []
    for index in range(len(chosen)):
        others = slice(index + 1, index + len(chosen))
        target = Target(
            images[index], points[index], images[others], points[others], grid, kernel, weights
        )
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


def _twice_around(population: Population, chosen: list[int]) -> torch.Tensor:
    """(2 n, C, *spatial) images of n subjects, and the same once more.

    All but image i are then the n - 1 behind it, one stretch of memory that no target copies.

    Raises:
        InputError: if there is no memory for them.
    """
    shape = (2 * len(chosen), population.channels, *population.shape)
    drawing = DRAWING_BYTES * math.prod(population.shape)
    require_memory(4 * math.prod(shape) + drawing, "ranking landmarks")
    images = torch.empty(shape)
    for row, index in enumerate(chosen):
        image = torch.from_numpy(population.images([index])[0])
        images[row] = images[len(chosen) + row] = image
    return images


def _region_of(population: Population) -> torch.Tensor:
    """(*spatial) the population's mask.

    Raises:
        InputError: if it has none, or one that is 0 everywhere.
    """
    if population.mask is None or not (population.mask > 0).any():
        raise InputError(
            "redundancy.region is true, but the population has no region: "
            "give preprocess.region, or set redundancy.region to false"
        )
    return torch.from_numpy(population.mask)


def _ranking_places(shape: tuple[int, ...], mask: torch.Tensor | None, seed: int) -> torch.Tensor:
    """RANKING_POINTS random pixels in ascending order, where there is a mask above 0 of it."""
    inside = torch.ones(shape) if mask is None else mask
    inside = (inside.flatten() > 0).nonzero()[:, 0]
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randperm(len(inside), generator=generator)[:RANKING_POINTS]
    return inside[drawn.sort().values]


def _points(shape: tuple[int, ...], places: torch.Tensor) -> torch.Tensor:
    """(P, d) the points of `spline.regular_grid` at some places of the flat grid."""
    axes = [torch.linspace(-1, 1, n, dtype=torch.float64) for n in shape]
    index = torch.unravel_index(places, shape)
    return torch.stack([axis[i] for axis, i in zip(axes, index, strict=True)][::-1], dim=-1)


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
