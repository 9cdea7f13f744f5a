"""What a training step compares, and moved copies of it."""

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

    def moved(self, images: torch.Tensor, maps: Maps) -> "Batch":
        """The moved `images`, with what else belongs to them moved likewise."""
        mask, supervision = self.mask, self.supervision
        if mask is not None:
            mask = move_images(mask.expand(len(images), *mask.shape[1:]), maps)
        if supervision is not None:
            shapes = move_images(supervision.shapes, maps)
            supervision = Supervision(shapes, supervision.present)
        return Batch(images, mask, supervision)
