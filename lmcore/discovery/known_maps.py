"""Known maps of images, and where they take landmarks: what equivariance is taught with."""

import math

import torch
import torch.nn.functional as F

# As far as objects differ in pose from photograph to photograph.
LARGEST_ANGLE = math.radians(15.0)
LARGEST_SCALE = 1.15
LARGEST_SHIFT = 0.1  # of the image, along each axis


def random_maps(
    count: int, shape: tuple[int, ...], generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotation, scale and shift of images, drawn evenly up to the largest of each.

    Arguments:
        count: of images; shape: (z,) y, x of each, so that a rotation is one in pixels.
    Returns:
        matrix (count, d, d) and shift (count, d): a moved image shows at q in [-1, 1] what the
        image shows at matrix q + shift.
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
    return matrix.float(), (2 * LARGEST_SHIFT * evenly(count, dimension)).float()


def move_images(images: torch.Tensor, matrix: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """(B, C, *shape) images seen through the maps; beyond the border its values go on."""
    theta = torch.cat([matrix, shift[:, :, None]], dim=2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=True)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=True)


def move_points(points: torch.Tensor, matrix: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """(B, M, d): where the maps show the points (B, M, d) of the images."""
    inverse, _ = torch.linalg.inv_ex(matrix)  # `inv` would wait for the GPU
    return (points - shift[:, None]) @ inverse.transpose(1, 2)


def equivariance_loss(moved: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Mean squared distance, [-1, 1] along each axis, of landmarks that stay in the image.

    Arguments:
        moved: (B, M, d) landmarks of the moved images; expected: where the map takes those of
            the images.
    """
    inside = (expected.detach().abs() <= 1).all(dim=-1)
    squared = (moved - expected).square().sum(dim=-1)
    return torch.where(inside, squared, 0.0).sum() / inside.sum().clamp_min(1)
