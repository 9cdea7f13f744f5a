"""How well images match, before registration and by an encoder, as a training sees it."""

import math

import torch

from lmcore.discovery.encoder import Encoder
from lmcore.discovery.objective import Registrar, Supervision, pair_mean
from lmcore.discovery.recipes import RECIPES
from lmcore.discovery.settings import TrainingSettings
from lmcore.registration.matching import blocks
from lmcore.registration.regularity import mean_condition_number
from lmcore.registration.similarity import SIMILARITIES, Similarity, masked_match
from lmcore.registration.windows import window_mean

ENCODED_AT_A_TIME = 16
MEANS_AT_A_TIME = 4
# Side of the window whose mean is taken away, as a share of the image's longest side: wider than
# the structures that landmarks sit on, narrower than changes of illumination.
LOCAL_WINDOW = 0.2
# The match of so many unregistered pairs is a unit. In noisy volumes MIND leaps where an edge moves
# by a voxel: in units of one pair its gradient by the landmarks is some ten times that of the
# others, what known maps teach is drowned in it, and landmarks end as constants.
PAIRS_IN_A_UNIT = {"l2": 1.0, "ncc": 1.0, "mind": 10.0}


def compared(images: torch.Tensor, settings: TrainingSettings) -> torch.Tensor:
    """What of images (B, C, *shape) is compared: themselves, or without their local mean."""
    if not RECIPES[settings.recipe].local:
        return images
    shape = images.shape[2:]
    window = 2 * round(LOCAL_WINDOW * max(shape) / 2) + 1
    # a few at a time: a window's mean takes several copies of what it is of
    parts = [part - window_mean(part, window, len(shape)) for part in images.split(MEANS_AT_A_TIME)]
    return torch.cat(parts)


def unit_of(maps: torch.Tensor, match: str, mask: torch.Tensor | None = None) -> float:
    """What counts as 1 of a match in a loss of several terms; arguments: `unregistered_match`."""
    return PAIRS_IN_A_UNIT[match] * unregistered_match(maps, SIMILARITIES[match], mask)


@torch.no_grad()
def unregistered_match(
    maps: torch.Tensor, match: Similarity, mask: torch.Tensor | None = None
) -> float:
    """Mean match over all ordered pairs of some maps (N, C, *shape) as they are.

    Arguments:
        mask: weights of the pixels (Eq. 9), (*shape) or (1, 1, *shape).
    """
    count = len(maps)
    losses = torch.empty(count, count, device=maps.device)
    for targets, sources in blocks(count, count, math.prod(maps.shape[2:]), maps.device):
        still = maps[targets]
        moving = maps[sources].expand(len(still), *[-1] * maps.dim())
        losses[targets, sources] = _match(still, moving, match, mask)
    mean = float(pair_mean(losses, torch.zeros(count, dtype=torch.bool, device=maps.device)))
    return max(mean, 1e-12)  # equal images leave nothing to register


def _match(target, registered, match, mask):
    if mask is None:
        return match(target, registered)
    mask = mask.to(target.device)
    return masked_match(match, target, registered, mask, mask)


@torch.no_grad()
def evaluate(
    encoder: Encoder,
    images: torch.Tensor,
    settings: TrainingSettings,
    device: torch.device,
    mask: torch.Tensor | None = None,
    supervision: Supervision | None = None,
    weight: float = 0.0,
) -> tuple[float, float]:
    """Match and condition number over all ordered pairs of some images, on the full grid.

    Images are compared as in training.

    A target without a solvable spline counts with its unregistered sources: leaving it out
    would favour weights that let landmarks meet. Pairs are registered a few at a time.

    Arguments:
        images: (N, C, *shape), N > 1.
        mask: weights of the pixels as in training (Eq. 9), (*shape) or (1, 1, *shape).
        supervision: shapes of the images (Eq. 8); weight: of their match beside the images'.
    Returns:
        mean match over pairs of two different images, with that of shapes over those pairs in
        which both have one; mean kappa over targets; NaN where no target has a solvable spline.
    """
    images = images.to(device)
    landmarks = torch.cat([encoder(part) for part in images.split(ENCODED_AT_A_TIME)])
    images = compared(images, settings)
    registrar = Registrar(images.shape[2:], settings.kernel, device=device)
    fitted = registrar.fit(landmarks)
    match, count, channels = SIMILARITIES[settings.match], len(images), images.shape[1]
    maps, both = images, torch.zeros(count, count, dtype=torch.bool, device=device)
    if supervision is not None:
        present = supervision.present.to(device)
        both = present[:, None] & present & ~torch.eye(count, dtype=torch.bool, device=device)
        maps = torch.cat([images, supervision.shapes.to(device)], dim=1)
    losses, shapes = torch.zeros(2, count, count, device=device)
    for targets, sources in blocks(count, count, math.prod(registrar.shape), device):
        moving = maps[sources]
        found = registrar.register(moving, landmarks[sources], landmarks[targets])
        failed = found.fitted.failed.view(-1, *[1] * moving.dim())
        registered = torch.where(failed, moving, found.registered)
        image, shape = registered[:, :, :channels], registered[:, :, channels:]
        losses[targets, sources] = _match(images[targets], image, match, mask)
        if both.any():
            compare = SIMILARITIES[settings.shape_match]
            shapes[targets, sources] = compare(maps[targets, channels:], shape)
    if fitted.failed.all():
        return float("nan"), float("nan")
    loss = pair_mean(losses, torch.zeros_like(fitted.failed))
    if both.any():
        loss = loss + weight * shapes[both].mean()
    return float(loss), float(mean_condition_number(fitted))
