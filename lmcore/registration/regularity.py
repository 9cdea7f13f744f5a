"""What keeps landmarks apart: the condition number of the spline's system (Eq. 7)."""

import torch

from lmcore.registration.spline import Fit


def mean_condition_number(fitted: Fit) -> torch.Tensor:
    """kappa(A) = ||A||_F ||A^-1||_F averaged over the targets whose system could be solved."""
    solved = (~fitted.failed).sum().clamp_min(1)
    return fitted.condition_number.sum() / solved
