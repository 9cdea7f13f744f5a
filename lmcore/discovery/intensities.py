"""Other brightness, contrast and noise, as another camera or scanner would have given an image."""

import torch

# Largest change of the exponent and of the contrast, as shares; of the brightness, and the noise's
# standard deviation, as shares of what lies between an image's darkest and brightest pixel.
LARGEST_EXPONENT = 0.4
LARGEST_CONTRAST = 0.4
LARGEST_BRIGHTNESS = 0.06
NOISE = 0.02


def change_intensities(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(B, C, *shape) images, each with its own change; those of another unit change alike.

    Arguments:
        generator: on the CPU; drawn evenly up to the largest of each change.
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
    changed = contrast * ((images - low) / extent) ** exponent + brightness + noise
    return low + extent * changed
