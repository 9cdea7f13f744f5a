import pytest
import torch

from lmcore.registration import spline
from lmcore.registration.leave_one_out import LeaveOneOut

CASES = [("paper", 2), ("paper", 3), ("thin_plate", 2), ("thin_plate", 3)]
every_kernel = pytest.mark.parametrize(("kernel", "dimension"), CASES)


def points(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 1.8 * torch.rand(*shape, generator=generator, dtype=torch.float64) - 0.9


class TestLeaveOneOut:
    """The rank-one update against a spline that is fitted anew."""

    @staticmethod
    def refitted(target, sources, grid, kernel, kept):
        fitted = spline.fit(target[:, kept], kernel)
        size = len(kept)
        weights = fitted.inverse[0, :size, :size] @ sources[:, kept]
        moved = spline.transform(spline.cardinal_basis(fitted, grid), sources[:, kept])[0]
        return fitted.inverse[0], weights, moved

    @every_kernel
    def test_each_candidate_and_several_removals(self, kernel, dimension):
        target, sources = points(1, 15, dimension), points(3, 15, dimension, seed=1)
        grid = points(40, dimension, seed=2)
        splines = LeaveOneOut.of(spline.fit(target, kernel), grid, sources)
        kept = list(range(15))
        for removed in (4, 0, 14, 9, 7):
            candidates = [c for c in kept if c % 2]
            for candidate in candidates:
                trial = splines.without(candidate)
                others = [k for k in kept if k != candidate]
                _, _, moved = self.refitted(target, sources, grid, kernel, others)
                torch.testing.assert_close(trial, moved, atol=5e-6, rtol=0)
            splines.remove(removed)
            kept.remove(removed)
            inverse, weights, moved = self.refitted(target, sources, grid, kernel, kept)
            rows = torch.tensor([*kept, *range(15, 16 + dimension)])
            found = splines.inverse[rows][:, rows]
            scale = inverse.abs().max()
            torch.testing.assert_close(found / scale, inverse / scale, atol=1e-8, rtol=0)
            scale = weights.abs().max()
            torch.testing.assert_close(
                splines.weights[:, kept] / scale, weights / scale, atol=1e-8, rtol=0
            )
            torch.testing.assert_close(splines.transform, moved, atol=5e-6, rtol=0)
            assert not splines.basis[removed].any()

    def test_trials_change_nothing(self):
        target, sources = points(1, 9, 2), points(2, 9, 2, seed=1)
        fitted, grid = spline.fit(target), points(7, 2, seed=2)
        splines = LeaveOneOut.of(fitted, grid, sources)
        before = splines.transform.clone()
        for candidate in (0, 3, 8):
            splines.without(candidate)
        assert torch.equal(splines.transform, before)
        splines.remove(3)
        assert fitted.inverse[0, 3].any()  # the fit is not the one that was changed
