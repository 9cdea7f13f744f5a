"""Splines from which landmarks are taken away, by rank-one updates instead of new fits."""

from dataclasses import dataclass

import torch

from lmcore.registration.spline import Fit, cardinal_basis


@dataclass
class LeaveOneOut:
    """One target's splines, from which control points are taken away one by one.

    B = A^-1, the basis G, the weights w = B [S; 0] and T = G S of a target and its sources.
    Without control point j, exactly, T_-j = T - G_j w_j / B_jj, and every other quantity
    follows by the same rank-one update, so no system is ever solved again. Points of the grid
    come last, so that an update runs along them.

    Attributes:
        inverse: (M+d+1, M+d+1) float64.
        basis: (M, P) float32.
        weights: (S, M, d) float64, spline weights of each source.
        transform: (S, d, P) float32, source coordinates at the grid.
    """

    inverse: torch.Tensor
    basis: torch.Tensor
    weights: torch.Tensor
    transform: torch.Tensor

    @classmethod
    def of(cls, fitted: Fit, grid: torch.Tensor, source_landmarks: torch.Tensor) -> "LeaveOneOut":
        """From the fit of one target (B = 1), a grid (P, d) and its sources (S, M, d)."""
        basis = cardinal_basis(fitted, grid)[0].T.contiguous()
        count = source_landmarks.shape[1]
        inverse = fitted.inverse[0].clone()
        weights = inverse[:count, :count] @ source_landmarks.double()
        transform = source_landmarks.float().transpose(1, 2) @ basis
        return cls(inverse, basis, weights, transform)

    def without(self, candidate: int) -> torch.Tensor:
        """(S, d, P): T with one control point left out and all others kept."""
        return torch.addcmul(self.transform, self.basis[candidate], self._step(candidate), value=-1)

    def remove(self, index: int) -> None:
        """Take control point `index` away for good; the numbering of the others stays."""
        column = self.inverse[:, index] / self.inverse[index, index]
        count = len(self.basis)
        weight, removed = self.weights[:, index].clone(), self.basis[index].clone()
        self.transform.addcmul_(removed, self._step(index), value=-1)
        self.weights -= column[:count, None] * weight[:, None, :]
        self.basis -= column[:count, None].float() * removed
        self.inverse -= column[:, None] * self.inverse[index]

    def _step(self, index: int) -> torch.Tensor:
        """(S, d, 1) float32 w_j / B_jj, in two operations: a trial takes microseconds."""
        return (self.weights[:, index, :, None] / self.inverse[index, index]).float()
