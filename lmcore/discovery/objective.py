"""The training objective: match plus lambda times the condition number (Eq. 2)."""

from dataclasses import dataclass

import torch

from lmcore.registration import spline, warp
from lmcore.registration.regularity import mean_condition_number
from lmcore.registration.similarity import SIMILARITIES

RECIPES = ("paper", "robust")


@dataclass(frozen=True)
class Registration:
    """All S sources of a batch registered to its B targets.

    Attributes:
        registered: (B, S, C, *spatial)
        points: (B, S, *spatial, d), T on the full grid.
        fitted: the spline systems of the targets.
    """

    registered: torch.Tensor
    points: torch.Tensor
    fitted: spline.Fit


class Registrar:
    """Registers batches of one image shape; keeps the grid they share.

    Arguments:
        shape: (z,) y, x of the images.
        kernel: `paper` or `thin_plate`.
        grid_stride: T is evaluated on every so many pixels and interpolated between.
        device: where the tensors live.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        kernel: str = "paper",
        grid_stride: int = 1,
        device: torch.device | str = "cpu",
    ):
        self.shape, self.kernel = tuple(shape), kernel
        self.coarse = spline.strided_shape(shape, grid_stride)
        self.grid = spline.regular_grid(self.coarse, device)

    def register(
        self,
        images: torch.Tensor,
        landmarks: torch.Tensor,
        target_landmarks: torch.Tensor | None = None,
    ) -> Registration:
        """Register every source to every target; without targets, the batch to itself.

        Arguments:
            images: (S, C, *shape) sources.
            landmarks: (S, M, d) their learned landmarks in [-1, 1].
            target_landmarks: (B, M, d) of the targets.
        """
        if target_landmarks is None:
            target_landmarks = landmarks
        fitted = spline.fit(spline.with_corners(target_landmarks), self.kernel)
        basis = spline.cardinal_basis(fitted, self.grid)
        registered, points = warp.register(
            basis, self.coarse, spline.with_corners(landmarks), images
        )
        return Registration(registered, points, fitted)


class Objective:
    """L = L_match + lambda kappa (Eq. 2) over all ordered pairs of a batch.

    Arguments:
        registrar: how images are registered.
        match: name of the similarity.
        weight: lambda.
        recipe: `paper` takes kappa as it is; `robust` takes it relative to the kappa of as many
            quasi-uniform points, so that one weight serves every number of landmarks.
        landmarks: number M of learned landmarks.
    """

    def __init__(
        self, registrar: Registrar, match: str, weight: float, recipe: str, landmarks: int
    ):
        if recipe not in RECIPES:
            raise ValueError(f"recipe is one of {', '.join(RECIPES)}, not {recipe!r}")
        self.registrar, self.match, self.weight = registrar, SIMILARITIES[match], weight
        self.scale = 1.0
        if recipe == "robust":
            self.scale = 1 / spline.reference_condition_number(
                landmarks, len(registrar.shape), registrar.kernel
            )

    def __call__(
        self, images: torch.Tensor, landmarks: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """The objective and its parts for a batch registered to itself.

        Arguments:
            images: (B, C, *shape); landmarks: (B, M, d).
        Returns:
            loss, match, kappa: 0-d tensors; failures: 0-d count of targets without a solution.
            An image paired with itself, and a failed target, count in none of them.
        """
        registration = self.registrar.register(images, landmarks)
        fitted = registration.fitted
        match = pair_mean(self.match(images, registration.registered), fitted.failed)
        kappa = mean_condition_number(fitted)
        loss = match + self.weight * self.scale * kappa
        return loss, match, kappa, fitted.failed.sum()


def pair_mean(values: torch.Tensor, failed: torch.Tensor) -> torch.Tensor:
    """Mean of (B, B) pair values without the diagonal and without the rows of failed targets.

    NaN where all have failed: nothing registered is no good registration.
    """
    counted = ~torch.eye(len(values), dtype=torch.bool, device=values.device) & ~failed[:, None]
    return torch.where(counted, values, 0.0).sum() / counted.sum()
