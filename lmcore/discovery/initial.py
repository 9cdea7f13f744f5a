"""The encoder that a training begins with."""

import torch

from lmcore.discovery.encoder import Encoder
from lmcore.discovery.heatmaps import build_encoder
from lmcore.discovery.recipes import RECIPES
from lmcore.discovery.settings import TrainingSettings
from lmcore.registration.spline import spread_points


def initial_encoder(
    sample: torch.Tensor,
    settings: TrainingSettings,
    seed: int,
    initial_landmarks: torch.Tensor | None = None,
    region: torch.Tensor | None = None,
) -> Encoder:
    """An untrained encoder.

    Arguments:
        sample: (n, C, *shape) training images; their intensities fix the standardisation.
        settings, seed, initial_landmarks: as of `Training`.
        region: (*shape) weights of the pixels over which the robust recipe spreads landmarks;
            None is everywhere.
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
            stride=settings.stride,
            channels=sample.shape[1],
        )
        encoder.standardise_by(float(sample.mean()), float(sample.std()))
        if initial_landmarks is None:
            initial_landmarks = (
                spread_points(settings.landmarks, len(shape), region)
                if recipe.spread
                else torch.tanh(
                    2 * torch.rand(settings.landmarks, len(shape), dtype=torch.float64) - 1
                )
            )
    encoder.start_from(initial_landmarks)
    return encoder
