import pytest
import torch

from lmcore.registration import evaluation, spline
from lmcore.registration.evaluation import evaluate

CASES = [("paper", 2), ("paper", 3), ("thin_plate", 2), ("thin_plate", 3)]
every_kernel = pytest.mark.parametrize(("kernel", "dimension"), CASES)


def points(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 1.8 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 0.9


def by_basis(fitted, sources, grid):
    """T through the cardinal basis, whose gradient is autograd's own."""
    return spline.transform(spline.cardinal_basis(fitted, grid), sources)


@every_kernel
@pytest.mark.parametrize("values", [2**17, 40], ids=["at once", "in parts"])
def test_is_the_cardinal_form_with_its_gradient(kernel, dimension, values, monkeypatch):
    monkeypatch.setitem(evaluation.KERNEL_VALUES, "cpu", values)
    # the corners are points of the grid too: r = 0
    targets = spline.with_corners(points(3, 9, dimension)).requires_grad_()
    sources = spline.with_corners(points(2, 9, dimension, seed=1)).requires_grad_()
    grid = spline.regular_grid((4, 5, 3)[:dimension])
    upstream = torch.randn(3, 2, dimension, len(grid))
    found, gradients = [], []
    for way in (evaluate, by_basis):
        moved = way(spline.fit(targets, kernel), sources, grid)
        found.append(moved)
        gradients.append(torch.autograd.grad((moved * upstream).sum(), (targets, sources)))
    assert found[0].dtype == torch.float32
    torch.testing.assert_close(found[0], found[1], atol=2e-6, rtol=0)
    for mine, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-5)


@every_kernel
def test_gradient_is_that_of_differences(kernel, dimension):
    """The output is float32, too coarse for differences: check the float64 function inside."""
    control, weights = points(2, 7, dimension), points(2, 3, 7 + dimension + 1, seed=1)
    grid = points(5, dimension, seed=2)

    def in_double(control, weights):
        phi = spline.radial_basis(spline.squared_distances(control, grid), kernel, dimension)
        affine = torch.cat([torch.ones(5, 1).double(), grid], dim=1).T
        return weights @ torch.cat([phi, affine.expand(2, -1, -1)], dim=1)

    control.requires_grad_()
    weights.requires_grad_()
    assert torch.autograd.gradcheck(in_double, (control, weights))
    upstream = torch.randn(2, 3, 5, dtype=torch.float64)
    expected = torch.autograd.grad(
        (in_double(control, weights) * upstream).sum(), (control, weights)
    )
    found = evaluation._Evaluate.apply(control, weights, grid, kernel)
    torch.testing.assert_close(found, in_double(control, weights).float())
    gradient = torch.autograd.grad(found, (control, weights), upstream.float())
    for mine, theirs in zip(gradient, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_sources_of_each_target():
    targets, sources = points(3, 8, 2), points(3, 2, 8, 2, seed=1)
    grid = spline.regular_grid((5, 7))
    fitted = spline.fit(targets)
    found = evaluate(fitted, sources, grid)
    for b in range(3):
        expected = evaluate(fitted, sources[b], grid)[b]
        torch.testing.assert_close(found[b], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_spoils_nothing_else(bad):
    targets, sources = points(2, 8, 2), points(2, 8, 2, seed=1)
    targets[1, 3, 0] = sources[1, 2, 1] = bad
    leaves = targets.requires_grad_(), sources.requires_grad_()
    grid = spline.regular_grid((5, 7))
    moved = evaluate(spline.fit(targets), sources, grid)
    assert moved.isfinite().all()
    of_targets, of_sources = torch.autograd.grad(moved[:, 0].sum(), leaves)
    assert of_targets[0].isfinite().all()
    assert of_targets[0].any()
    assert of_sources[0].any()
    assert of_sources.isfinite().all()


def test_autocast_changes_nothing():
    targets, sources = points(2, 9, 2).float(), points(2, 9, 2, seed=1).float()
    grid = spline.regular_grid((6, 9))
    exact = evaluate(spline.fit(targets), sources, grid)
    with torch.autocast("cpu", torch.bfloat16):
        cast = evaluate(spline.fit(targets), sources, grid)
    assert torch.equal(cast, exact)


def test_what_does_not_fit_is_refused():
    fitted = spline.fit(points(1, 5, 2))
    with pytest.raises(ValueError, match=r"grid \(7, 3\), control points \(1, 5, 2\)"):
        evaluate(fitted, points(2, 5, 2), points(7, 3))
    with pytest.raises(ValueError, match=r"source landmarks \(2, 6, 2\) do not fit"):
        evaluate(fitted, points(2, 6, 2), points(7, 2))
