"""The encoder that a training begins with."""

import torch

from lmcore.discovery.encoder import Encoder
from lmcore.discovery.heatmaps import build_encoder
from lmcore.discovery.recipes import RECIPES
from lmcore.discovery.settings import TrainingSettings

# Landmarks of images are the better for every pixel, see own images in docs/fidelity.md. With
# volumes that would be eight times the work.
DEFAULT_STRIDES = {2: 1, 3: 2}


def initial_encoder(
    sample: torch.Tensor,
    settings: TrainingSettings,
    seed: int,
    initial_landmarks: torch.Tensor | None = None,
) -> Encoder:
    """An untrained encoder.

    Arguments:
        sample: (n, C, *shape) training images; their intensities fix the standardisation.
        settings, seed, initial_landmarks: as of `Training`.
    """
    shape, recipe = tuple(sample.shape[2:]), RECIPES[settings.recipe]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = build_encoder(
            recipe.head,
            shape=shape,
            landmarks=settings.landmarks,
            widths=settings.widths,
            hidden=settings.hidden,
            stride=settings.stride or DEFAULT_STRIDES[len(shape)],
            channels=sample.shape[1],
        )
        encoder.standardise_by(float(sample.mean()), float(sample.std()))
        if initial_landmarks is None and not recipe.spread:
            raw = torch.rand(settings.landmarks, len(shape), dtype=torch.float64)
            initial_landmarks = torch.tanh(2 * raw - 1)
    if initial_landmarks is not None:
        encoder.start_from(initial_landmarks)
    return encoder
