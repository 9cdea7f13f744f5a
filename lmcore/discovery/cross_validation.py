"""Choosing lambda by cross-validation of the registration loss (Fig. 3, top right)."""

import logging
from collections.abc import Callable

import pandas as pd
import torch

from lmcore.discovery.pairs import fixed_subset
from lmcore.discovery.settings import TrainingSettings
from lmcore.discovery.trainer import LandmarksMetError, Training
from lmcore.errors import InputError

logger = logging.getLogger("lmcore")

# All ordered pairs of so many subjects of a fold are scored; more hardly change the mean.
HELD_OUT_SUBJECTS = 30


def split_folds(indices: list[int], folds: int, seed: int) -> list[list[int]]:
    """Disjoint folds of nearly equal size, the same for every weight."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(indices), generator=generator).tolist()
    return [sorted(indices[i] for i in order[fold::folds]) for fold in range(folds)]


def cross_validate(
    images: Callable[[list[int]], torch.Tensor],
    shape: tuple[int, ...],
    indices: list[int],
    settings: TrainingSettings,
    fold: int,
    folds: int,
    seed: int,
    initial_landmarks: torch.Tensor | None,
    what: str,
    **guided: object,
) -> dict:
    """Train without one fold of the training subjects, score on that fold.

    The fold takes no part in stopping: training runs its full length and its last weights
    are scored, so that the loss belongs to subjects the encoder never saw.

    Arguments:
        images: gives images for subject indices; shape: of an image.
        indices: the training split.
        settings: with the weight under trial.
        fold, folds: which fold of how many is held out.
        seed: of the folds and of the training, the same for every weight.
        initial_landmarks: as in `Training`; guided: what `guidance` gives it.
        what: named in progress.
    Returns:
        weight, fold, registration_loss, condition_number; the last two NaN where the landmarks
        met, which is what a grid is there to find out.
    """
    parts = split_folds(indices, folds, seed)
    held_out = fixed_subset(parts[fold], HELD_OUT_SUBJECTS, seed)
    rest = sorted(index for k, part in enumerate(parts) if k != fold for index in part)
    training = Training(images, shape, rest, [], settings, seed, initial_landmarks, what, **guided)
    try:
        training.run()
        loss, kappa = training.score(held_out)
    except LandmarksMetError as error:
        logger.info(f"no score for the weight {settings.regularization:g}: {error}")
        loss = kappa = float("nan")
    return {
        "weight": settings.regularization,
        "fold": fold,
        "registration_loss": loss,
        "condition_number": kappa,
    }


def select_regularization(scores: pd.DataFrame) -> dict:
    """The weight with the lowest mean loss over the folds; the larger one of equals.

    Arguments:
        scores: rows of `cross_validate`; a weight without a score in some fold is out.
    Returns:
        weight, registration_loss, at_grid_end: whether a wider grid might hold a better one.
    Raises:
        InputError: if every weight is out.
    """
    losses = scores.groupby("weight")["registration_loss"]
    means = losses.agg(lambda fold: fold.mean(skipna=False)).sort_index(ascending=False)
    if means.isna().all():
        raise InputError(
            "landmarks met with every weight of training.regularization.weights: add larger ones"
        )
    for weight, loss in means.items():
        logger.info(f"regularization {weight:g}: mean registration loss {loss:.6f}")
    best = float(means.idxmin())
    at_end = len(means) > 1 and best in (means.index.min(), means.index.max())
    if at_end:
        logger.info(
            f"the best regularization {best:g} is at the end of its grid "
            f"({means.index.min():g} to {means.index.max():g}): a wider grid may hold a better one"
        )
    return {"weight": best, "registration_loss": float(means[best]), "at_grid_end": at_end}
