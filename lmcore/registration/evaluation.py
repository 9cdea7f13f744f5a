"""The transform of all pairs at a grid, with a gradient that keeps no kernel values."""

import torch

from lmcore.registration.spline import Fit, radial_basis, radial_slope, squared_distances

# Values of the kernel that there are at a time, in float64: a CPU's cache is small.
KERNEL_VALUES = {"cpu": 2**17, "cuda": 2**24}


class _Evaluate(torch.autograd.Function):
    """[phi(x), 1, x] W at every point x of the grid, a part of the grid at a time.

    phi holds a value for every point and landmark, in a volume gigabytes. Neither pass keeps
    it: the backward pass computes it anew, part by part.
    """

    @staticmethod
    def forward(ctx, control_points, weights, grid, kernel):
        """(B, Q, P) float32 from (B, M, d), (B, Q, M+d+1) and (P, d), all three in float64."""
        ctx.kernel = kernel
        ctx.save_for_backward(control_points, weights, grid)
        count = control_points.shape[1]
        values = weights.new_empty(*weights.shape[:2], len(grid), dtype=torch.float32)
        for part in _parts(control_points, grid):
            at = grid[part].expand(len(control_points), -1, -1)
            phi = radial_basis(squared_distances(control_points, at), kernel, grid.shape[1])
            affine = torch.baddbmm(
                weights[:, :, count, None], weights[:, :, count + 1 :], at.transpose(1, 2)
            )
            values[:, :, part] = torch.baddbmm(affine, weights[:, :, :count], phi)
        return values

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        control_points, weights, grid = ctx.saved_tensors
        count, dimension = control_points.shape[1:]
        radial = weights[:, :, :count].transpose(1, 2)
        of_points, of_weights = torch.zeros_like(control_points), torch.zeros_like(weights)
        for part in _parts(control_points, grid):
            at = grid[part].expand(len(control_points), -1, -1)
            given = gradient[:, :, part].double()
            squared = squared_distances(control_points, at)
            phi = radial_basis(squared, ctx.kernel, dimension)
            of_weights[:, :, :count] += given @ phi.transpose(1, 2)
            of_weights[:, :, count] += given.sum(dim=-1)
            of_weights[:, :, count + 1 :] += given @ at
            # d r^2 / d c = 2 (c - x)
            slope = radial_slope(phi, squared, ctx.kernel, dimension).mul_(radial @ given)
            of_points += 2 * (slope.sum(dim=-1, keepdim=True) * control_points - slope @ at)
        return of_points, of_weights, None, None


def _parts(control_points: torch.Tensor, grid: torch.Tensor) -> list[slice]:
    """The grid in parts small enough that all targets' kernel values fit KERNEL_VALUES."""
    targets, count, _ = control_points.shape
    step = max(1, KERNEL_VALUES[control_points.device.type] // (targets * count))
    return [slice(begin, begin + step) for begin in range(0, len(grid), step)]


def evaluate(fitted: Fit, source_landmarks: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """T at a grid for all pairs of B targets and S sources, without the basis in between.

    phi (B S) instead of (phi B) S: the weights B S of a pair have d columns, B itself has M.
    Computed in float64 whatever autocast says. A source whose landmarks are not finite gets
    finite coordinates, and no gradient through them: torch's sampling of a NaN coordinate ends
    the process (2D, CPU, its backward pass).

    Arguments:
        fitted: systems of B targets with M control points.
        source_landmarks: (S, M, d) for all targets, or (B, S, M, d) sources of each target;
            corners included, in [-1, 1].
        grid: (P, d) where to evaluate, in [-1, 1].
    Returns:
        (B, S, d, P) float32 source coordinates, component before place as `upsample` wants it.
    Raises:
        ValueError: if numbers of landmarks or dimensions differ; the message gives the shapes.
    """
    points = fitted.control_points
    if source_landmarks.shape[-2:] != points.shape[1:] or grid.shape[-1] != points.shape[-1]:
        raise ValueError(
            f"grid {tuple(grid.shape)}, control points {tuple(points.shape)} and source "
            f"landmarks {tuple(source_landmarks.shape)} do not fit each other"
        )
    with torch.autocast(points.device.type, enabled=False):
        sources = source_landmarks.double().nan_to_num(0.0, 0.0, 0.0)
        sources = sources.expand(len(points), *sources.shape[-3:])
        inverse = fitted.inverse[:, :, : points.shape[1]]
        weights = torch.einsum("bnm,bsmd->bsdn", inverse, sources)
        planar = grid.double().T.contiguous().T  # a coordinate of all points lies together
        values = _Evaluate.apply(points, weights.flatten(1, 2), planar, fitted.kernel)
    return values.unflatten(1, weights.shape[1:3])
