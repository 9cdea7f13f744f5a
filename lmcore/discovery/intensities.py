"""Other brightness, contrast and noise, as another camera or scanner would have given an image."""

import torch

# Largest change of the exponent and of the contrast, as shares; of the brightness, and the noise's
# standard deviation, where 1 is white.
LARGEST_EXPONENT = 0.4
LARGEST_CONTRAST = 0.4
LARGEST_BRIGHTNESS = 0.06
NOISE = 0.02


def change_intensities(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(B, C, *shape) images in [0, 1], each with its own change; they may leave [0, 1].

    Arguments:
        generator: on the CPU; drawn evenly up to the largest of each change.
    """

    def evenly() -> torch.Tensor:
        drawn = torch.rand(len(images), generator=generator).to(images.device)
        return (2 * drawn - 1).view(-1, *[1] * (images.dim() - 1))

    exponent = 1 + LARGEST_EXPONENT * evenly()
    contrast = 1 + LARGEST_CONTRAST * evenly()
    brightness = LARGEST_BRIGHTNESS * evenly()
    noise = NOISE * torch.randn(images.shape, generator=generator).to(images.device)
    return contrast * images.clamp_min(0) ** exponent + brightness + noise
