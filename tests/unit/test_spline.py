import itertools

import numpy as np
import pytest
import torch
from scipy.interpolate import RBFInterpolator

from lmcore.registration import spline

CASES = [("paper", 2), ("paper", 3), ("thin_plate", 2), ("thin_plate", 3)]
every_kernel = pytest.mark.parametrize(("kernel", "dimension"), CASES)


def points(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 1.8 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 0.9


def scipy_transform(target, source, grid, kernel):
    linear = kernel == "thin_plate" and target.shape[1] == 3
    name = "linear" if linear else "thin_plate_spline"
    return RBFInterpolator(target, source, kernel=name, degree=1)(grid)


@every_kernel
def test_transform_is_scipys_interpolator(kernel, dimension):
    targets, sources = points(2, 14, dimension), points(3, 14, dimension, seed=1)
    grid = points(50, dimension, seed=2)
    basis = spline.cardinal_basis(spline.fit(targets, kernel), grid)
    found = spline.transform(basis, sources)
    assert basis.dtype == found.dtype == torch.float32
    for b, s in itertools.product(range(2), range(3)):
        expected = scipy_transform(targets[b], sources[s], grid, kernel)
        np.testing.assert_allclose(found[b, s].T, expected, atol=1e-6)


@every_kernel
def test_interpolates_its_landmarks(kernel, dimension):
    target, source = points(1, 12, dimension), points(1, 12, dimension, seed=1)
    basis = spline.cardinal_basis(spline.fit(target, kernel), target)
    torch.testing.assert_close(
        spline.transform(basis, source)[0, 0].T, source[0].float(), atol=1e-6, rtol=0
    )


@every_kernel
def test_reproduces_affine_maps(kernel, dimension):
    target = spline.with_corners(points(1, 9, dimension))
    matrix, offset = points(dimension, dimension, seed=3), points(dimension, seed=4)
    grid = spline.regular_grid((7, 5, 6)[:dimension])
    basis = spline.cardinal_basis(spline.fit(target, kernel), grid)
    found = spline.transform(basis, target @ matrix + offset)[0, 0].T
    torch.testing.assert_close(found, (grid @ matrix + offset).float(), atol=1e-5, rtol=0)


def test_grid_of_each_target():
    targets, source = points(2, 8, 2), points(1, 8, 2, seed=1)
    grids = points(2, 11, 2, seed=2)
    fitted = spline.fit(targets)
    basis = spline.cardinal_basis(fitted, grids)
    for b in range(2):
        torch.testing.assert_close(basis[b], spline.cardinal_basis(fitted, grids[b])[b])
        expected = scipy_transform(targets[b], source[0], grids[b], "paper")
        np.testing.assert_allclose(spline.transform(basis, source)[b, 0].T, expected, atol=1e-6)


def test_close_landmarks_cost_no_accuracy():
    """Two landmarks 1e-3 apart: float32 alone would err by half a pixel of 256."""
    target, source = points(1, 30, 2), points(1, 30, 2, seed=1)
    target[0, 1] = target[0, 0] + torch.tensor([1e-3, 0])
    source[0, 1] = source[0, 0] + torch.tensor([0, 2e-3])
    grid = spline.regular_grid((31, 37))
    found = spline.transform(spline.cardinal_basis(spline.fit(target), grid), source)[0, 0].T
    expected = scipy_transform(target[0], source[0], grid, "paper")
    hundredth_of_a_pixel = 0.01 * 2 / 255
    np.testing.assert_allclose(found, expected, atol=hundredth_of_a_pixel)


@every_kernel
def test_condition_number_is_that_of_the_singular_values(kernel, dimension):
    control = spline.with_corners(points(3, 10, dimension))
    fitted = spline.fit(control, kernel)
    matrix = spline.system_matrix(control, kernel)
    torch.testing.assert_close(
        fitted.inverse @ matrix, torch.eye(matrix.shape[-1]).double().expand_as(matrix)
    )
    for b in range(3):
        values = np.linalg.svd(matrix[b].numpy(), compute_uv=False)
        frobenius = np.sqrt((values**2).sum() * (values**-2).sum())
        assert fitted.condition_number[b].item() == pytest.approx(frobenius, rel=1e-9)
        numpys = np.linalg.cond(matrix[b].numpy(), "fro")
        assert fitted.condition_number[b].item() == pytest.approx(numpys, rel=1e-9)


def test_system_matrix_by_hand():
    control = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.0, -2.0]]])
    phi = 2 * np.log(2) * 2, 2.5 * np.log(5)  # r^2 log r at r = 2 and r = sqrt 5; 0 at r = 1
    expected = [
        [0, 0, phi[0], 1, 0, 0],
        [0, 0, phi[1], 1, 1, 0],
        [phi[0], phi[1], 0, 1, 0, -2],
        [1, 1, 1, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
        [0, 0, -2, 0, 0, 0],
    ]
    found = spline.system_matrix(control, "paper")[0]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@every_kernel
def test_gradients(kernel, dimension):
    control = points(2, dimension + 4, dimension).requires_grad_()

    def kappa_and_inverse(control):
        fitted = spline.fit(control, kernel)
        return fitted.condition_number, fitted.inverse

    assert torch.autograd.gradcheck(kappa_and_inverse, (control,))


@every_kernel
def test_a_singular_target_leaves_the_others_alone(kernel, dimension):
    good = points(2, 10, dimension).requires_grad_()
    doubled = points(1, 10, dimension, seed=1)
    doubled[0, 7] = doubled[0, 2]
    doubled.requires_grad_()
    grid, source = points(9, dimension, seed=2), points(1, 10, dimension, seed=3)

    def gradients(*parts):
        fitted = spline.fit(torch.cat(parts), kernel)
        moved = spline.transform(spline.cardinal_basis(fitted, grid), source)
        total = moved.square().sum() + 1e-6 * fitted.condition_number.sum()
        return fitted, torch.autograd.grad(total, parts)

    _, (alone,) = gradients(good)
    fitted, (beside, broken) = gradients(good, doubled)
    assert fitted.failed.tolist() == [False, False, True]
    assert fitted.condition_number[2] == 0
    assert not fitted.inverse[2].any()
    assert not broken.any()
    torch.testing.assert_close(beside, alone, rtol=1e-12, atol=1e-12)
    assert alone.abs().min() > 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_landmarks_that_are_not_finite_fail(bad):
    control = points(2, 8, 2)
    control[1, 3, 0] = bad
    fitted = spline.fit(control)
    assert fitted.failed.tolist() == [False, True]
    torch.testing.assert_close(fitted.inverse[:1], spline.fit(control[:1]).inverse)
    assert not fitted.inverse[1].any()
    assert not spline.cardinal_basis(fitted, points(5, 2))[1].any()


def test_batch_is_the_loop():
    targets, sources = points(4, 11, 3), points(2, 11, 3, seed=1)
    grid = spline.regular_grid((4, 5, 6))
    fitted = spline.fit(targets, "thin_plate")
    together = spline.transform(spline.cardinal_basis(fitted, grid), sources)
    for b, s in itertools.product(range(4), range(2)):
        alone = spline.fit(targets[b : b + 1], "thin_plate")
        torch.testing.assert_close(fitted.condition_number[b], alone.condition_number[0])
        one = spline.transform(spline.cardinal_basis(alone, grid), sources[s : s + 1])
        torch.testing.assert_close(together[b, s], one[0, 0], atol=1e-6, rtol=0)


def test_autocast_changes_nothing():
    targets, sources = points(2, 9, 2).float(), points(2, 9, 2, seed=1).float()
    grid = spline.regular_grid((6, 9))
    exact = spline.transform(spline.cardinal_basis(spline.fit(targets), grid), sources)
    with torch.autocast("cpu", torch.bfloat16):
        basis = spline.cardinal_basis(spline.fit(targets), grid)
        cast = spline.transform(basis, sources)
    assert torch.equal(cast, exact)


def test_corners_and_grid():
    assert spline.corners(2).tolist() == [[-1, -1], [1, -1], [-1, 1], [1, 1]]
    assert spline.corners(3)[1].tolist() == [1, -1, -1]
    assert spline.corners(3)[4].tolist() == [-1, -1, 1]
    landmarks = points(2, 5, 3).float()
    both = spline.with_corners(landmarks)
    assert both.dtype == torch.float64
    assert torch.equal(both[:, :5], landmarks.double())
    assert torch.equal(both[1, 5:], spline.corners(3))
    grid = spline.regular_grid((2, 3, 5))
    assert len(grid) == 30
    assert grid[1].tolist() == [-0.5, -1, -1]  # x fastest
    assert grid[5].tolist() == [-1, 0, -1]
    assert grid[15].tolist() == [-1, -1, 1]


@pytest.mark.parametrize(
    ("shape", "stride", "coarse"),
    [((31, 20), 1, (31, 20)), ((33, 20), 4, (9, 6)), ((5, 6, 7), 2, (3, 4, 4))],
)
def test_strided_shape(shape, stride, coarse):
    assert spline.strided_shape(shape, stride) == coarse


def test_spread_points():
    plastic = 1.324717957244746  # g^3 = g + 1
    first = [1.8 * ((0.5 + 1 / plastic) % 1) - 0.9, 1.8 * ((0.5 + plastic**-2) % 1) - 0.9]
    np.testing.assert_allclose(spline.spread_points(7, 2)[0], first, atol=1e-12)
    for count, dimension in ((26, 2), (100, 3)):
        spread = spline.spread_points(count, dimension)
        assert spread.abs().max() <= 0.9
        apart = torch.pdist(spread).min().item()
        assert apart > 0.5 * 1.8 / count ** (1 / dimension)  # half the step of a square grid
        assert torch.equal(spread[:5], spline.spread_points(5, dimension))


@every_kernel
def test_reference_condition_number(kernel, dimension):
    control = spline.with_corners(spline.spread_points(20, dimension)[None])
    expected = np.linalg.cond(spline.system_matrix(control, kernel)[0].numpy(), "fro")
    found = spline.reference_condition_number(20, dimension, kernel)
    assert found == pytest.approx(expected, rel=1e-9)
    crowded = spline.with_corners(0.2 * spline.spread_points(20, dimension)[None])
    assert spline.fit(crowded, kernel).condition_number.item() > 2 * found


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="kernel is one of paper, thin_plate, not 'gauss'"):
        spline.fit(points(1, 5, 2), "gauss")
    with pytest.raises(ValueError, match="3 control points cannot carry a spline in 3D"):
        spline.fit(points(1, 3, 3))
    with pytest.raises(ValueError, match=r"grid \(7, 3\) and control points \(1, 5, 2\)"):
        spline.cardinal_basis(spline.fit(points(1, 5, 2)), points(7, 3))
    with pytest.raises(ValueError, match=r"basis \(1, 7, 5\) and source landmarks \(1, 6, 2\)"):
        spline.transform(torch.zeros(1, 7, 5), points(1, 6, 2))


def test_a_grid_in_parts_is_the_grid_in_one(monkeypatch):
    target, grid = points(2, 6, 3).double(), points(50, 3).double()
    fitted = spline.fit(target)
    whole = spline.cardinal_basis(fitted, grid)
    monkeypatch.setattr(spline, "GRID_POINTS", 7)
    with torch.no_grad():
        torch.testing.assert_close(spline.cardinal_basis(fitted, grid), whole, rtol=0, atol=1e-6)
