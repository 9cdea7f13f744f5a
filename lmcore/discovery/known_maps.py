"""Known maps of images, and where they take landmarks: what equivariance is taught with."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from lmcore.registration.spline import regular_grid

# As far as objects differ in pose from photograph to photograph.
LARGEST_ANGLE = math.radians(15.0)
LARGEST_SCALE = 1.15
LARGEST_SHIFT = 0.1  # of the image, along each axis
# Where a segmentation has brought every object to the middle: landmarks that are taught to follow
# shifts forget that the middle is the object's, which is worth more than few scans can teach.
CENTRED_SHIFT = 0.02
# As far as they differ in shape: so much a wave stretches an image at most, each of WAVES waves
# its own share of it, of half to three quarters of a period over the image.
LARGEST_STRETCH = 0.3
WAVES = 6
# Steps to the inverse of a map, each of which shrinks the error by LARGEST_STRETCH or more.
ITERATIONS = 6


@dataclass(frozen=True)
class Maps:
    """Maps of B images: a moved image shows at q in [-1, 1] what the image shows at map(q).

    map(q) = matrix q + shift + sum over K waves of amplitude sin(frequency . q + phase)

    Attributes:
        matrix: (B, d, d); shift: (B, d).
        amplitude, frequency: (B, K, d); phase: (B, K).
    """

    matrix: torch.Tensor
    shift: torch.Tensor
    amplitude: torch.Tensor
    frequency: torch.Tensor
    phase: torch.Tensor

    def to(self, where: torch.device | torch.dtype) -> "Maps":
        """The same maps on a device, or in another precision."""
        return Maps(*(part.to(where) for part in vars(self).values()))

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        """(B, P, d): what of the images the moved ones show at points (B, P, d)."""
        return points @ self.matrix.mT + self.shift[:, None] + self._bend(points)

    def inverse(self, points: torch.Tensor) -> torch.Tensor:
        """(B, P, d): where, very nearly, the moved images show points (B, P, d) of the images."""
        inverse, _ = torch.linalg.inv_ex(self.matrix)  # `inv` would wait for the GPU
        found = points
        for _ in range(ITERATIONS):
            found = (points - self.shift[:, None] - self._bend(found)) @ inverse.mT
        return found

    def _bend(self, points: torch.Tensor) -> torch.Tensor:
        return (points @ self.frequency.mT + self.phase[:, None]).sin() @ self.amplitude


def random_maps(
    count: int,
    shape: tuple[int, ...],
    generator: torch.Generator,
    largest_shift: float = LARGEST_SHIFT,
) -> Maps:
    """Rotation, scale, shift and smooth bending of images, drawn evenly up to the largest of each.

    Arguments:
        count: of images; shape: (z,) y, x of each, so that a rotation is one in pixels.
        largest_shift: of the image, along each axis.
    """
    dimension = len(shape)

    def evenly(*size: int) -> torch.Tensor:
        return 2 * torch.rand(*size, generator=generator, dtype=torch.float64) - 1

    matrix = torch.eye(dimension, dtype=torch.float64).repeat(count, 1, 1)
    for first in range(dimension):
        for second in range(first + 1, dimension):
            angle = LARGEST_ANGLE * evenly(count)
            turn = torch.eye(dimension, dtype=torch.float64).repeat(count, 1, 1)
            turn[:, first, first] = turn[:, second, second] = angle.cos()
            turn[:, first, second], turn[:, second, first] = -angle.sin(), angle.sin()
            matrix = matrix @ turn
    matrix = matrix * (math.log(LARGEST_SCALE) * evenly(count)).exp()[:, None, None]
    # [-1, 1] has another length in pixels along every axis
    half = torch.tensor([n - 1 for n in reversed(shape)], dtype=torch.float64) / 2
    matrix = matrix * half / half[:, None]
    shift = 2 * largest_shift * evenly(count, dimension)
    frequency = F.normalize(evenly(count, WAVES, dimension), dim=2)
    frequency = frequency * (math.pi * (1 + evenly(count, WAVES, 1) / 2))
    steepness = evenly(count, WAVES, dimension) / math.sqrt(WAVES)
    amplitude = LARGEST_STRETCH * steepness / frequency.norm(dim=2, keepdim=True)
    phase = math.pi * evenly(count, WAVES)
    return Maps(matrix, shift, amplitude, frequency, phase).to(torch.float32)


def move_images(images: torch.Tensor, maps: Maps) -> torch.Tensor:
    """(B, C, *shape) images seen through the maps; beyond the border its values go on."""
    shape = images.shape[2:]
    grid = regular_grid(tuple(shape), images.device).to(images.dtype)
    points = maps(grid.expand(len(images), -1, -1)).unflatten(1, shape)
    return F.grid_sample(images, points, padding_mode="border", align_corners=True)


def equivariance_loss(moved: torch.Tensor, still: torch.Tensor, maps: Maps) -> torch.Tensor:
    """Mean squared distance, [-1, 1] along each axis, of landmarks that stay in the image.

    Arguments:
        moved: (B, M, d) landmarks of the moved images, which the maps should lead back to those of
            the images; still: those.
    """
    with torch.no_grad():
        inside = (maps.inverse(still).abs() <= 1).all(dim=-1)
    squared = (maps(moved) - still).square().sum(dim=-1)
    return torch.where(inside, squared, 0.0).sum() / inside.sum().clamp_min(1)
