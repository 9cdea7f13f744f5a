"""All ordered pairs of some subjects, registered to each other in turn, and what is measured.

With `registration_quality`, whose part this is, the one analysis that needs torch.
"""

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from lmcore.analysis.overlap import Surface, dice, surface_hd95
from lmcore.population.store import Population
from lmcore.progress import Progress
from lmcore.registration import spline, warp
from lmcore.registration.evaluation import evaluate
from lmcore.registration.similarity import masked_match, squared_difference

MEASURES = ("loss", "masked_loss", "dice", "hd95", "folded_share")
# Grid points, over all sources, at which T is held at a time. With what follows from it that is
# about 0.5 GB, where T of 40 sources on 128^3 voxels alone would take 1 GB.
POINTS_AT_A_TIME = 2**22


@dataclass(frozen=True)
class Sample:
    """N subjects that are registered to each other.

    Attributes:
        subjects: (N) ids.
        images: (N, C, *spatial) float32.
        segmentations: (N, *spatial) uint8, zero where a subject has none; None where fewer than
            two subjects have one, and no pair can be compared.
        segmented: (N,) bool, who has one.
        mask: (*spatial) float32, one for all (Eq. 9); or None.
        spacing: mm a voxel; in 2D 1, in pixels.
        affines: (N, d+1, d+1) from the grid's index to each original; oriented: whether the axes
            of volumes are anatomical.
    """

    subjects: list[str]
    images: torch.Tensor
    segmentations: np.ndarray | None
    segmented: np.ndarray
    mask: torch.Tensor | None
    spacing: float
    affines: np.ndarray
    oriented: bool

    @classmethod
    def of(cls, population: Population, indices: list[int]) -> "Sample":
        """Read these subjects of an open population."""
        segmented = np.asarray(population.segmented)[indices]
        comparable = np.count_nonzero(segmented) > 1
        mask = population.mask
        return cls(
            subjects=[population.subjects[i] for i in indices],
            images=torch.from_numpy(population.images(indices)),
            segmentations=population.segmentations(indices) if comparable else None,
            segmented=segmented,
            mask=None if mask is None else torch.from_numpy(mask),
            spacing=population.spacing,
            affines=population.affines[indices],
            oriented=population.oriented,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial array shape."""
        return tuple(self.images.shape[2:])

    @cached_property
    def moving(self) -> torch.Tensor:
        """(N, C or C + 1, *spatial) all that is warped: images, then the segmentations."""
        if self.segmentations is None:
            return self.images
        shapes = torch.from_numpy(self.segmentations)[:, None]
        return torch.cat([self.images, shapes.float()], dim=1)

    @cached_property
    def surfaces(self) -> list[Surface]:
        """Surface of each subject's segmentation, empty where it has none."""
        return [Surface(shape, self.spacing) for shape in self.segmentations]

    def measures(self, asked: Collection[str]) -> list[str]:
        """Those of the measures asked for that this sample can give."""
        without = {"masked_loss"} if self.mask is None else set()
        if self.segmentations is None:
            without |= {"dice", "hd95"}
        return [name for name in MEASURES if name in asked and name not in without]


@dataclass(frozen=True)
class Slab:
    """Some planes of a target, along the first axis of its array, with S sources registered.

    Attributes:
        planes: which.
        registered: (S, C or C + 1, *planes), of `Sample.moving`.
        points: (S, *planes and the next one, d) T there, with which all cells of the planes can
            be told; None where nothing is moved.
    """

    planes: slice
    registered: torch.Tensor
    points: torch.Tensor | None = None


# From the index of a target to all sources registered to it, slab by slab; None where there is
# no solution.
Registration = Callable[[int], Iterator[Slab] | None]


def unregistered(sample: Sample) -> Registration:
    """The sources as they are."""

    def register(target: int) -> Iterator[Slab]:
        for planes, _ in _slabs(sample):
            yield Slab(planes, sample.moving[:, :, planes])

    return register


def by_spline(sample: Sample, landmarks: torch.Tensor, kernel: str) -> Registration:
    """Sources registered by the spline through the landmarks (N, M, d) and the corners (Eq. 1)."""
    points = spline.with_corners(landmarks)

    def register(target: int) -> Iterator[Slab] | None:
        fitted = spline.fit(points[target : target + 1], kernel)
        if fitted.failed:
            return None
        return _warp(sample, lambda grid: evaluate(fitted, points, grid)[0])

    return register


def by_affine(sample: Sample, landmarks: torch.Tensor) -> Registration:
    """Sources registered by the affine map that fits the landmarks (N, M, d) best.

    Least squares from the target's landmarks to the source's, without the corners. Along a
    direction that the landmarks leave open, as when all lie in a plane, the displacement stays
    the same.
    """
    points = landmarks.double()

    def register(target: int) -> Iterator[Slab]:
        centre = points[target].mean(dim=0)
        moved = points - points[target]
        shift = moved.mean(dim=1, keepdim=True)
        linear = torch.linalg.pinv(points[target] - centre) @ (moved - shift)
        linear, shift = linear.transpose(1, 2), shift.transpose(1, 2)

        def transform(grid: torch.Tensor) -> torch.Tensor:
            return (grid.T + shift + linear @ (grid - centre).T).float()

        return _warp(sample, transform)

    return register


def _slabs(sample: Sample) -> Iterator[tuple[slice, slice]]:
    """Planes of the image, and the same with the one after them, to which their cells reach."""
    first, *others = sample.shape
    cells = first - 1
    thickness = max(1, POINTS_AT_A_TIME // (len(sample.subjects) * math.prod(others)))
    for begin in range(0, cells, thickness):
        end = min(begin + thickness, cells)
        yield slice(begin, first if end == cells else end), slice(begin, end + 1)


def _warp(sample: Sample, transform: Callable[[torch.Tensor], torch.Tensor]) -> Iterator[Slab]:
    """All sources where a transform from grid points (P, d) to (S, d, P) puts them."""
    first, *others = sample.shape
    grid = spline.regular_grid(sample.shape).view(first, -1, len(sample.shape))
    for planes, near in _slabs(sample):
        shape = (near.stop - near.start, *others)
        points = warp.upsample(transform(grid[near].flatten(0, 1))[None], shape, shape)
        own = points[:, :, : planes.stop - planes.start]
        yield Slab(planes, warp.sample(sample.moving, own)[0], points[0])


@torch.no_grad()
def measure_pairs(
    sample: Sample, registration: Registration, asked: Collection[str], what: str
) -> dict[str, np.ndarray]:
    """Measure all ordered pairs of a sample on the full grid.

    Arguments:
        registration: how sources come to a target.
        asked: which of MEASURES; those that the sample cannot give are left out.
        what: is being done, for the lines of progress.
    Returns:
        By measure (N, N) float64, by target, then source; NaN on the diagonal, and in the rows of
        targets without a solution.
        loss: L2 (Eq. 3); masked_loss: of the images times the mask (Eq. 9); folded_share: share
        of grid cells that T turns over; dice and hd95 (mm; infinite if one of the two is empty):
        of the target's segmentation and the source's, which is interpolated linearly and cut at
        1/2; NaN unless both have one.
    """
    count = len(sample.subjects)
    found = {name: np.full((count, count), np.nan) for name in sample.measures(asked)}
    progress = Progress(what, count, "targets")
    for target in range(count):
        slabs = registration(target)
        if slabs is not None:
            for name, values in _measure(sample, target, slabs, set(found)).items():
                found[name][target] = values
        progress.update(target + 1)
    for matrix in found.values():
        np.fill_diagonal(matrix, np.nan)
    return found


def _measure(
    sample: Sample, target: int, slabs: Iterator[Slab], asked: set[str]
) -> dict[str, np.ndarray]:
    """Each measure of all sources (N,) registered to one target."""
    count, channels, depth = len(sample.subjects), sample.images.shape[1], sample.shape[0]
    sums = {name: np.zeros(count) for name in asked - {"dice", "hd95"}}
    overlap = asked & {"dice", "hd95"} if sample.segmented[target] else set()
    shapes = np.zeros((count, *sample.shape), dtype=bool) if overlap else None
    for slab in slabs:
        fixed = sample.images[target : target + 1, :, slab.planes]
        images = slab.registered[None, :, :channels]
        share = fixed.shape[2] / depth
        for name in sums:
            if name == "folded_share":
                cells = slab.points.shape[1] - 1
                values = warp.folded_share(slab.points) * (cells / (depth - 1))
            elif name == "loss":
                values = squared_difference(fixed, images)[0] * share
            else:
                mask = sample.mask[None, None, slab.planes]
                values = masked_match(squared_difference, fixed, images, mask, mask[:, None])[0]
                values = values * share
            sums[name] += values.double().numpy()
        if overlap:
            shapes[:, slab.planes] = (slab.registered[:, channels] >= 0.5).numpy()
    return sums | (_measure_shapes(sample, target, shapes, overlap) if overlap else {})


def _measure_shapes(
    sample: Sample, target: int, shapes: np.ndarray, asked: set[str]
) -> dict[str, np.ndarray]:
    """Dice, HD95 of one target's segmentation and the registered ones (N, *spatial)."""
    found = {name: np.full(len(shapes), np.nan) for name in asked}
    for source in np.flatnonzero(sample.segmented):
        if source == target:
            continue
        if "dice" in asked:
            found["dice"][source] = dice(sample.segmentations[target], shapes[source])
        if "hd95" in asked:
            surface = Surface(shapes[source], sample.spacing)
            found["hd95"][source] = surface_hd95(sample.surfaces[target], surface)
    return found
