"""The spline through landmarks: fit and evaluate (Eq. 1, 11-14).

Everything is batched over targets and written in cardinal form. With the system matrix
A = [[K, P], [P^T, 0]] of the target's control points and B = A^-1, the map that takes
target coordinates to source coordinates is

    T(x) = [phi(x), 1, x] B [S; 0] = G(x) S,      G = [phi(x), 1, x] B[:, :M]

so that the basis G, or phi and B, belong to the target alone and serve every source S
registered to it.
"""

import math
from dataclasses import dataclass

import torch

KERNELS = ("paper", "thin_plate")
# Above it, float64 keeps fewer than three digits of the solution.
LARGEST_CONDITION_NUMBER = 1e13
# Grid points whose basis is evaluated at a time where no gradient is kept.
GRID_POINTS = 65_536
# Squared distances up to it count as zero.
SMALLEST_SQUARE = 1e-30


@dataclass(frozen=True)
class Fit:
    """Spline systems of B targets with M control points in d dimensions.

    Attributes:
        control_points: (B, M, d) float64, target landmarks in [-1, 1]; zero where the system
            failed, so that a NaN ends here.
        inverse: (B, M+d+1, M+d+1) float64, A^-1; zero where the system failed.
        condition_number: (B,) float64, ||A||_F ||A^-1||_F (Eq. 7); zero where it failed.
        failed: (B,) bool, systems that are singular or too close to it.
        kernel: name of the radial basis function.
    """

    control_points: torch.Tensor
    inverse: torch.Tensor
    condition_number: torch.Tensor
    failed: torch.Tensor
    kernel: str


def radial_basis(squared_distance: torch.Tensor, kernel: str, dimension: int) -> torch.Tensor:
    """phi(r) from r^2, with phi(0) = 0 and a finite gradient there.

    `paper` is r^2 log r in every dimension; `thin_plate` is r^2 log r in 2D and r in 3D,
    the fundamental solution of the biharmonic equation there.
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel is one of {', '.join(KERNELS)}, not {kernel!r}")
    positive = squared_distance.clamp_min(SMALLEST_SQUARE)
    if kernel == "thin_plate" and dimension == 3:
        return positive.sqrt()
    return 0.5 * squared_distance * positive.log()


def radial_slope(
    phi: torch.Tensor, squared_distance: torch.Tensor, kernel: str, dimension: int
) -> torch.Tensor:
    """d phi / d r^2 from phi and r^2, zero at r = 0."""
    away = squared_distance > SMALLEST_SQUARE
    if kernel == "thin_plate" and dimension == 3:
        return torch.where(away, 0.5 / phi, 0.0)
    return torch.where(away, phi / squared_distance + 0.5, 0.0)


def squared_distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """(..., P, M) squared distances of (..., P, d) and (..., M, d), by explicit differences.

    The expansion a^2 - 2ab + b^2 of `torch.cdist` loses every digit at small distances.
    """
    result = (a[..., :, None, 0] - b[..., None, :, 0]).square()
    for axis in range(1, a.shape[-1]):
        result = result + (a[..., :, None, axis] - b[..., None, :, axis]).square()
    return result


def system_matrix(control_points: torch.Tensor, kernel: str) -> torch.Tensor:
    """A = [[K, P], [P^T, 0]], (B, M+d+1, M+d+1) in float64 (Eq. 14).

    Arguments:
        control_points: (B, M, d) in [-1, 1], M > d.
        kernel: `paper` or `thin_plate`.
    """
    points = control_points.double()
    batch, count, dimension = points.shape
    if count <= dimension:
        raise ValueError(f"{count} control points cannot carry a spline in {dimension}D")
    phi = radial_basis(squared_distances(points, points), kernel, dimension)
    affine = torch.cat([points.new_ones(batch, count, 1), points], dim=-1)
    zero = points.new_zeros(batch, dimension + 1, dimension + 1)
    upper = torch.cat([phi, affine], dim=-1)
    lower = torch.cat([affine.transpose(-1, -2), zero], dim=-1)
    return torch.cat([upper, lower], dim=-2)


class _Inverse(torch.autograd.Function):
    """A^-1 and its Frobenius condition number, zero with zero gradient where A is singular.

    `torch.linalg.inv` would raise, and wait for the GPU to know whether to; `inv_ex` does
    neither, and what it leaves in a failed system must not reach the others' gradients.
    """

    @staticmethod
    def forward(ctx, matrix):
        inverse, info = torch.linalg.inv_ex(matrix)
        condition = torch.linalg.matrix_norm(matrix) * torch.linalg.matrix_norm(inverse)
        failed = (info != 0) | ~(condition < LARGEST_CONDITION_NUMBER)
        inverse = torch.where(failed[:, None, None], torch.zeros_like(inverse), inverse)
        ctx.save_for_backward(inverse)
        ctx.mark_non_differentiable(failed)
        return inverse, failed

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient, _):
        (inverse,) = ctx.saved_tensors
        transposed = inverse.transpose(-1, -2)
        return -transposed @ gradient @ transposed


def fit(control_points: torch.Tensor, kernel: str = "paper") -> Fit:
    """Solve the spline systems of B targets at once, in float64 whatever autocast says.

    Arguments:
        control_points: (B, M, d) target landmarks, corners included, in [-1, 1].
        kernel: as in `system_matrix`.
    """
    with torch.autocast(control_points.device.type, enabled=False):
        points = control_points.double()
        matrix = system_matrix(points, kernel)
        inverse, failed = _Inverse.apply(matrix)
        # the norm has no gradient at zero: keep failed systems out of its backward pass
        safe = torch.where(failed[:, None, None], torch.ones_like(inverse), inverse)
        condition = torch.linalg.matrix_norm(matrix) * torch.linalg.matrix_norm(safe)
        condition = torch.where(failed, torch.zeros_like(condition), condition)
        points = torch.where(failed[:, None, None], torch.zeros_like(points), points)
    return Fit(points, inverse, condition, failed, kernel)


def cardinal_basis(fitted: Fit, grid: torch.Tensor) -> torch.Tensor:
    """Spline basis of each target, shared by all sources registered to it.

    Arguments:
        fitted: systems of B targets with M control points.
        grid: (P, d) or (B, P, d) where to evaluate, in [-1, 1].
    Returns:
        (B, P, M) float32 basis G; `G @ source_landmarks` is T at the grid (Eq. 1).
    Raises:
        ValueError: if d differs between the two; the message gives both shapes.
    """
    points = fitted.control_points
    if grid.shape[-1] != points.shape[-1]:
        raise ValueError(
            f"grid {tuple(grid.shape)} and control points {tuple(points.shape)} differ in dimension"
        )
    with torch.autocast(points.device.type, enabled=False):
        grid = grid.double()
        if grid.dim() == 2:
            grid = grid.expand(len(points), -1, -1)
        # In float64 a volume's whole grid would take gigabytes; autograd keeps every part anyway.
        parts = [grid] if torch.is_grad_enabled() else grid.split(GRID_POINTS, dim=1)
        return torch.cat([_basis_at(fitted, part) for part in parts], dim=1)


def _basis_at(fitted: Fit, grid: torch.Tensor) -> torch.Tensor:
    """(B, P, M) float32 basis at (B, P, d) float64 points."""
    points, count = fitted.control_points, fitted.control_points.shape[1]
    phi = radial_basis(squared_distances(grid, points), fitted.kernel, grid.shape[-1])
    kernel_part = fitted.inverse[:, :count, :count]
    constant = fitted.inverse[:, count : count + 1, :count]
    linear = fitted.inverse[:, count + 1 :, :count]
    return (phi @ kernel_part + constant + grid @ linear).float()


def transform(basis: torch.Tensor, source_landmarks: torch.Tensor) -> torch.Tensor:
    """T at the grid for all pairs of B targets and S sources.

    Arguments:
        basis: (B, P, M) from `cardinal_basis`.
        source_landmarks: (S, M, d), corners included, in [-1, 1].
    Returns:
        (B, S, d, P) float32 source coordinates, component before place as `upsample` wants it.
    """
    sources, count, dimension = source_landmarks.shape
    if basis.shape[-1] != count:
        raise ValueError(
            f"basis {tuple(basis.shape)} and source landmarks {tuple(source_landmarks.shape)} "
            "differ in the number of landmarks"
        )
    with torch.autocast(basis.device.type, enabled=False):
        flat = source_landmarks.float().transpose(1, 2).reshape(sources * dimension, count)
        values = flat @ basis.transpose(1, 2)
    return values.view(len(basis), sources, dimension, -1)


def corners(dimension: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """(2^d, d) corners of the image in [-1, 1], fixed control points of every spline."""
    ends = torch.tensor([-1.0, 1.0], dtype=torch.float64, device=device)
    return torch.cartesian_prod(*[ends] * dimension).flip(-1).contiguous()


def with_corners(landmarks: torch.Tensor) -> torch.Tensor:
    """(..., M + 2^d, d): the learned landmarks (..., M, d), then the fixed corners, in float64."""
    fixed = corners(landmarks.shape[-1], landmarks.device)
    return torch.cat([landmarks.double(), fixed.expand(*landmarks.shape[:-2], -1, -1)], dim=-2)


def reference_condition_number(count: int, dimension: int, kernel: str) -> float:
    """kappa of `count` quasi-uniform points and the corners: what a well-spread set has.

    Dividing by it makes a weight on kappa nearly independent of the number of landmarks.
    """
    spread = with_corners(spread_points(count, dimension)[None])
    return float(fit(spread, kernel).condition_number[0])


def spread_points(count: int, dimension: int) -> torch.Tensor:
    """(count, d) quasi-uniform points inside [-0.9, 0.9]^d, the same on every call.

    The additive recurrence on powers of the generalised golden ratio (R. M. Roberts, 2018:
    the root of g^(d+1) = g + 1) has a lower discrepancy than Sobol's sequence at such counts.
    """
    golden = 2.0
    for _ in range(64):
        golden = (1 + golden) ** (1 / (dimension + 1))
    step = torch.tensor([golden ** -(axis + 1) for axis in range(dimension)], dtype=torch.float64)
    index = torch.arange(1, count + 1, dtype=torch.float64)[:, None]
    return 1.8 * ((0.5 + index * step) % 1.0) - 0.9


def regular_grid(shape: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Tensor:
    """(P, d) centres of all pixels or voxels of a (z,) y, x image in [-1, 1], x fastest."""
    axes = [torch.linspace(-1, 1, n, dtype=torch.float64, device=device) for n in shape]
    mesh = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([axis.flatten() for axis in reversed(mesh)], dim=-1)


def strided_shape(shape: tuple[int, ...], stride: int) -> tuple[int, ...]:
    """Shape of the control grid whose outer points are the image's and whose step is <= stride."""
    return tuple(math.ceil((n - 1) / stride) + 1 for n in shape)
