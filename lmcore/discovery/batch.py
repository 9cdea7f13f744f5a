"""What a training step compares, and moved copies of it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from lmcore.discovery.known_maps import Maps, move_images
from lmcore.discovery.objective import Supervision


@dataclass(frozen=True)
class Batch:
    """What of B images is compared.

    Attributes:
        images: (B, C, *shape).
        mask: (1 or B, 1, *shape) weights of the pixels, or None; supervision: shapes, or None.
    """

    images: torch.Tensor
    mask: torch.Tensor | None
    supervision: Supervision | None

    @classmethod
    def of(
        cls,
        subjects: list[int],
        images: Callable[[list[int]], torch.Tensor],
        mask: torch.Tensor | None,
        shapes: Callable[[list[int]], tuple[torch.Tensor, torch.Tensor]] | None,
        device: torch.device,
    ) -> "Batch":
        """What of some subjects is compared, on the device; see `Training` for the arguments."""
        supervision = None
        if shapes is not None:
            parts = (part.to(device, non_blocking=True) for part in shapes(subjects))
            supervision = Supervision(*parts)
        return cls(images(subjects).to(device, non_blocking=True), mask, supervision)

    def moved(self, images: torch.Tensor, maps: Maps) -> "Batch":
        """The moved `images`, with what else belongs to them moved likewise."""
        mask, supervision = self.mask, self.supervision
        if mask is not None:
            mask = move_images(mask.expand(len(images), *mask.shape[1:]), maps)
        if supervision is not None:
            shapes = move_images(supervision.shapes, maps)
            supervision = Supervision(shapes, supervision.present)
        return Batch(images, mask, supervision)
