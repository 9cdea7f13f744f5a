"""The training objective: match plus lambda times the condition number (Eq. 2, 8, 9)."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from lmcore.registration import spline, warp
from lmcore.registration.evaluation import evaluate
from lmcore.registration.matching import Block, Losses, weighted_losses
from lmcore.registration.regularity import mean_condition_number
from lmcore.registration.similarity import SIMILARITIES, masked_match


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

    def fit(self, landmarks: torch.Tensor) -> spline.Fit:
        """The splines of targets with learned landmarks (B, M, d), corners added."""
        return spline.fit(spline.with_corners(landmarks), self.kernel)

    def transform(self, fitted: spline.Fit, landmarks: torch.Tensor) -> torch.Tensor:
        """(B, S, d, P) T on the control grid; landmarks: of sources, (S, M, d) or (B, S, M, d)."""
        return evaluate(fitted, spline.with_corners(landmarks), self.grid)

    def points(self, transform: torch.Tensor) -> torch.Tensor:
        """(B, S, *shape, d) source coordinates on the full grid from those on the control grid."""
        return warp.upsample(transform, self.coarse, self.shape)

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
        fitted = self.fit(landmarks if target_landmarks is None else target_landmarks)
        points = self.points(self.transform(fitted, landmarks))
        return Registration(warp.sample(images, points), points, fitted)


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


class Terms(NamedTuple):
    """The objective and its parts, 0-d tensors; only `loss` has a gradient by the match.

    A pair of an image with itself, and a failed target, count in none of them.

    Attributes:
        loss: NaN where every target has failed.
        match: mean over the pairs.
        kappa: mean over the targets.
        failures: number of targets without a solution.
        shape: mean match of shapes over the pairs that both have one; 0 without any.
    """

    loss: torch.Tensor
    match: torch.Tensor
    kappa: torch.Tensor
    failures: torch.Tensor
    shape: torch.Tensor


class Objective:
    """L = L_match + lambda kappa [+ beta 1_C L_match(C_T, C_R)] over pairs of a batch (Eq. 2, 8).

    Arguments:
        registrar: how images are registered.
        match: name of the similarity.
        weight: lambda.
        landmarks: number M of learned landmarks.
        pairing: `all` (and `neighbours`, which decides about batches alone) takes all ordered
            pairs of a batch; `random` takes B of them, each image from the one before it, so
            that a batch in random order gives random pairs.
        supervision: beta.
        shape_match: name of the similarity of shapes.
        relative: whether kappa counts relative to that of as many quasi-uniform points, so that
            one weight serves every number of landmarks.
    Attributes:
        unit: the match of images that counts as 1 in the loss; shape_unit: that of shapes.
    """

    def __init__(
        self,
        registrar: Registrar,
        match: str,
        weight: float,
        landmarks: int,
        pairing: str = "all",
        supervision: float = 0.0,
        shape_match: str = "l2",
        relative: bool = False,
    ):
        self.registrar, self.match, self.weight = registrar, SIMILARITIES[match], weight
        self.every_pair, self.supervision = pairing != "random", supervision
        self.reference = spline.reference_condition_number(
            landmarks, len(registrar.shape), registrar.kernel
        )
        self.scale = 1 / self.reference if relative else 1.0
        self.shape_match = SIMILARITIES[shape_match]
        self.unit = self.shape_unit = 1.0

    def pairs(self, batch: int) -> int:
        """How many ordered pairs of two different images a batch of so many gives."""
        return batch * (batch - 1) if self.every_pair else batch

    def __call__(
        self,
        images: torch.Tensor,
        landmarks: torch.Tensor,
        mask: torch.Tensor | None = None,
        supervision: Supervision | None = None,
    ) -> Terms:
        """The objective and its parts for a batch registered to itself.

        Arguments:
            images: (B, C, *shape); landmarks: (B, M, d).
            mask: weights of the pixels (Eq. 9): (1, 1, *shape), which lies still and serves
                target and registered image alike; or (B, 1, *shape), each image's own, which
                moves with its source. Shapes are compared outside of it too.
            supervision: shapes of the batch; their term is the mean over the pairs in which
                both have one, 0 where no pair has.
        """
        registrar = self.registrar
        fitted = registrar.fit(landmarks)
        kappa = mean_condition_number(fitted)
        target = torch.arange(len(images), device=images.device)[:, None]
        source = target.T.expand(len(images), -1) if self.every_pair else target.roll(1, 0)
        sources = landmarks if self.every_pair else landmarks.roll(1, 0)[:, None]
        counted = (source != target) & ~fitted.failed[:, None]
        weights = [counted / counted.sum().clamp_min(1) / self.unit]
        if supervision is not None:
            both = counted & supervision.present[:, None] & supervision.present[source]
            share = self.supervision / self.shape_unit
            weights.append(share * both / both.sum().clamp_min(1))
        total, sums = weighted_losses(
            registrar.transform(fitted, sources),
            self._losses(images, mask, supervision),
            torch.stack(weights),
            math.prod(registrar.shape),
        )
        shape = sums[1] / share if len(sums) > 1 and self.supervision else 0 * sums[0]
        # nothing registered is no good registration
        total, match = (torch.where(counted.any(), term, math.nan) for term in (total, sums[0]))
        match = match * self.unit
        loss = total + self.weight * self.scale * kappa
        return Terms(loss, match, kappa, fitted.failed.sum(), shape)

    def _losses(
        self, images: torch.Tensor, mask: torch.Tensor | None, supervision: Supervision | None
    ) -> Losses:
        """What `weighted_losses` asks for a block of pairs: the match, and that of the shapes."""
        moving = {"image": images}
        if mask is not None and len(mask) > 1:
            moving["mask"] = mask
        if supervision is not None:
            # what an absent shape holds, NaN perhaps, must not come near the gradient
            present = supervision.present.view(-1, *[1] * (images.dim() - 1))
            moving["shape"] = torch.where(present, supervision.shapes, 0.0)
        channels = [part.shape[1] for part in moving.values()]
        # all maps are warped by the same T, in one go
        maps = torch.cat(list(moving.values()), dim=1) if len(moving) > 1 else images
        if not self.every_pair:
            maps = maps.roll(1, 0)

        def losses(block: Block, transform: torch.Tensor) -> torch.Tensor:
            targets, sources = block
            points = self.registrar.points(transform)
            if self.every_pair:
                warped = warp.sample(maps[sources], points)
            else:
                warped = warp.sample_each(maps[targets], points)
            registered = dict(zip(moving, warped.split(channels, dim=2), strict=True))
            if mask is None:
                match = self.match(images[targets], registered["image"])
            else:
                own = mask[targets] if "mask" in moving else mask
                other = registered.get("mask", mask[:, None])
                match = masked_match(self.match, images[targets], registered["image"], own, other)
            if supervision is None:
                return match[None]
            shapes = self.shape_match(moving["shape"][targets], registered["shape"])
            return torch.stack([match, shapes])

        return losses


def pair_mean(values: torch.Tensor, failed: torch.Tensor) -> torch.Tensor:
    """Mean of (B, B) pair values without the diagonal and without the rows of failed targets.

    NaN where all have failed: nothing registered is no good registration.
    """
    counted = ~torch.eye(len(values), dtype=torch.bool, device=values.device) & ~failed[:, None]
    return torch.where(counted, values, 0.0).sum() / counted.sum()
