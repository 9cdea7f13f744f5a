"""The training objective: match plus lambda times the condition number (Eq. 2, 8, 9)."""

from dataclasses import dataclass

import torch

from lmcore.registration import spline, warp
from lmcore.registration.regularity import mean_condition_number
from lmcore.registration.similarity import SIMILARITIES, masked_match

RECIPES = ("paper", "robust")


@dataclass(frozen=True)
class Registration:
    """S sources registered to each of B targets.

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

    def register_each(
        self, images: torch.Tensor, landmarks: torch.Tensor, target_landmarks: torch.Tensor
    ) -> Registration:
        """Register one source to each target: B pairs, S = 1.

        Arguments: as of `register`, with as many sources as targets.
        """
        fitted = spline.fit(spline.with_corners(target_landmarks), self.kernel)
        basis = spline.cardinal_basis(fitted, self.grid)
        # a NaN in a coordinate ends the process, as `warp.register` says
        sources = torch.nan_to_num(spline.with_corners(landmarks)).float()
        with torch.autocast(basis.device.type, enabled=False):
            transform = (basis @ sources).transpose(1, 2)[:, None]
        points = warp.upsample(transform, self.coarse, self.shape)
        # every image is a source of its own, with one target
        registered = warp.sample(images, points.transpose(0, 1)).transpose(0, 1)
        return Registration(registered, points, fitted)


@dataclass(frozen=True)
class Supervision:
    """Shapes of some subjects of a batch (Eq. 8); the encoder never sees them.

    Attributes:
        shapes: (B, 1, *shape) segmentations, signed distance transforms or any other map that
            can be warped; of subjects without one, anything.
        present: (B,) bool, who has one.
    """

    shapes: torch.Tensor
    present: torch.Tensor


class Objective:
    """L = L_match + lambda kappa [+ beta 1_C L_match(C_T, C_R)] over pairs of a batch (Eq. 2, 8).

    Arguments:
        registrar: how images are registered.
        match: name of the similarity.
        weight: lambda.
        recipe: `paper` takes kappa as it is; `robust` takes it relative to the kappa of as many
            quasi-uniform points, so that one weight serves every number of landmarks.
        landmarks: number M of learned landmarks.
        pairing: `all` (and `neighbours`, which decides about batches alone) takes all ordered
            pairs of a batch; `random` takes B of them, each image from the one before it, so
            that a batch in random order gives random pairs.
        supervision: beta.
    """

    def __init__(
        self,
        registrar: Registrar,
        match: str,
        weight: float,
        recipe: str,
        landmarks: int,
        pairing: str = "all",
        supervision: float = 0.0,
    ):
        if recipe not in RECIPES:
            raise ValueError(f"recipe is one of {', '.join(RECIPES)}, not {recipe!r}")
        self.registrar, self.match, self.weight = registrar, SIMILARITIES[match], weight
        self.every_pair, self.supervision = pairing != "random", supervision
        self.reference = spline.reference_condition_number(
            landmarks, len(registrar.shape), registrar.kernel
        )
        self.scale = 1 / self.reference if recipe == "robust" else 1.0

    def pairs(self, batch: int) -> int:
        """How many ordered pairs of two different images a batch of so many gives."""
        return batch * (batch - 1) if self.every_pair else batch

    def __call__(
        self,
        images: torch.Tensor,
        landmarks: torch.Tensor,
        mask: torch.Tensor | None = None,
        supervision: Supervision | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """The objective and its parts for a batch registered to itself.

        Arguments:
            images: (B, C, *shape); landmarks: (B, M, d).
            mask: weights of the pixels (Eq. 9): (1, 1, *shape), which lies still and serves
                target and registered image alike; or (B, 1, *shape), each image's own, which
                moves with its source. Shapes are compared outside of it too.
            supervision: shapes of the batch; their term is the mean over the pairs in which
                both have one, 0 where no pair has.
        Returns:
            loss, match, kappa: 0-d tensors; failures: 0-d count of targets without a solution.
            An image paired with itself, and a failed target, count in none of them.
        """
        moving = {"image": images}
        if mask is not None and len(mask) > 1:
            moving["mask"] = mask
        if supervision is not None:
            # what an absent shape holds, NaN perhaps, must not come near the gradient
            present = supervision.present.view(-1, *[1] * (images.dim() - 1))
            moving["shape"] = torch.where(present, supervision.shapes, 0.0)
        registered, fitted, source = self._register(moving, landmarks)
        if mask is None:
            values = self.match(images, registered["image"])
        else:
            other = registered.get("mask", mask[:, None])
            values = masked_match(self.match, images, registered["image"], mask, other)
        target = torch.arange(len(images), device=images.device)[:, None]
        counted = (source != target) & ~fitted.failed[:, None]
        match = torch.where(counted, values, 0.0).sum() / counted.sum()
        kappa = mean_condition_number(fitted)
        loss = match + self.weight * self.scale * kappa
        if supervision is not None:
            both = counted & supervision.present[:, None] & supervision.present[source]
            values = torch.where(both, self.match(moving["shape"], registered["shape"]), 0.0)
            loss = loss + self.supervision * values.sum() / both.sum().clamp_min(1)
        return loss, match, kappa, fitted.failed.sum()

    def _register(
        self, moving: dict[str, torch.Tensor], landmarks: torch.Tensor
    ) -> tuple[dict[str, torch.Tensor], spline.Fit, torch.Tensor]:
        """Warp maps (B, channels, *shape) by the same T, in one go.

        Returns:
            registered: (B, S, channels, *shape) by name; the spline systems; source: (B, S) whose
            map was registered to each target.
        """
        maps = list(moving.values())
        stacked = torch.cat(maps, dim=1) if len(maps) > 1 else maps[0]
        order = torch.arange(len(stacked), device=stacked.device)
        if self.every_pair:
            found = self.registrar.register(stacked, landmarks)
            source = order.expand(len(order), -1)
        else:
            found = self.registrar.register_each(
                stacked.roll(1, 0), landmarks.roll(1, 0), landmarks
            )
            source = order.roll(1)[:, None]
        parts = found.registered.split([part.shape[1] for part in maps], dim=2)
        return dict(zip(moving, parts, strict=True)), found.fitted, source


def pair_mean(values: torch.Tensor, failed: torch.Tensor) -> torch.Tensor:
    """Mean of (B, B) pair values without the diagonal and without the rows of failed targets.

    NaN where all have failed: nothing registered is no good registration.
    """
    counted = ~torch.eye(len(values), dtype=torch.bool, device=values.device) & ~failed[:, None]
    return torch.where(counted, values, 0.0).sum() / counted.sum()
