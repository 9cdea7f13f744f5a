"""Other intensities, as another camera or scanner would have given an image; hidden parts."""

import torch
import torch.nn.functional as F

# Largest change of the exponent and of the contrast, as shares; of the brightness, and the noise's
# standard deviation, as shares of what lies between an image's darkest and brightest pixel.
LARGEST_EXPONENT = 0.4
LARGEST_CONTRAST = 0.4
LARGEST_BRIGHTNESS = 0.06
NOISE = 0.02
# Standard deviation of the logarithm of the illumination at FIELD_POINTS a side, linear between.
ILLUMINATION = 0.25
FIELD_POINTS = 3
# So many boxes of an image are hidden, each of so much of its length along every axis, so that no
# landmark hangs on a single structure: few scans do not tell which of them others have.
BOXES = 3
SMALLEST_BOX, LARGEST_BOX = 0.1, 0.35


def change_intensities(
    images: torch.Tensor, generator: torch.Generator, hide: bool = False
) -> torch.Tensor:
    """(B, C, *shape) images, each with its own change; those of another unit change alike.

    Arguments:
        generator: on the CPU; drawn evenly up to the largest of each change.
        hide: whether images are also lit unevenly, and boxes of them hidden.
    """

    def evenly() -> torch.Tensor:
        drawn = torch.rand(len(images), generator=generator).to(images.device)
        return (2 * drawn - 1).view(-1, *[1] * (images.dim() - 1))

    axes = tuple(range(1, images.dim()))
    low = images.amin(dim=axes, keepdim=True)
    extent = (images.amax(dim=axes, keepdim=True) - low).clamp_min(torch.finfo(images.dtype).tiny)
    exponent = 1 + LARGEST_EXPONENT * evenly()
    contrast = 1 + LARGEST_CONTRAST * evenly()
    brightness = LARGEST_BRIGHTNESS * evenly()
    noise = NOISE * torch.randn(images.shape, generator=generator).to(images.device)
    changed = contrast * ((images - low) / extent) ** exponent + brightness
    if not hide:
        return low + extent * (changed + noise)
    changed = _illumination(images, generator) * changed + noise
    return hide_boxes(low + extent * changed, generator)


def _illumination(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(B, 1, *shape) smooth factors about 1."""
    shape = images.shape[2:]
    size = len(images), 1, *[FIELD_POINTS] * len(shape)
    field = ILLUMINATION * torch.randn(size, generator=generator).to(images.device)
    mode = "bilinear" if len(shape) == 2 else "trilinear"
    return F.interpolate(field, tuple(shape), mode=mode, align_corners=True).exp()


def hide_boxes(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(B, C, *shape) images with boxes of their own that show their mean."""
    hidden = torch.ones((), dtype=torch.bool, device=images.device)
    shape = images.shape[2:]
    for axis, n in enumerate(shape):
        low, length = torch.rand(2, len(images), BOXES, 1, generator=generator).to(images.device)
        length = SMALLEST_BOX + (LARGEST_BOX - SMALLEST_BOX) * length
        low = (1 - length) * low
        places = (torch.arange(n, device=images.device) + 0.5) / n
        inside = (places >= low) & (places < low + length)
        along = [n if k == axis else 1 for k in range(len(shape))]
        hidden = hidden & inside.view(len(images), BOXES, *along)
    mean = images.mean(dim=tuple(range(1, images.dim())), keepdim=True)
    return torch.where(hidden.any(dim=1, keepdim=True), mean, images)
