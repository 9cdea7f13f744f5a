"""Do landmarks move with the image, and stay when only its intensities change?

Every distance is in percent of the image's width, its number of pixels along x.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from benchmarks.known_maps import KINDS, draw_map, half_lengths, map_image, map_points
from lmcore.seeds import derive_seed

# Takes images (B, C, *shape), returns landmarks (B, M, d) in [-1, 1].
Encoder = Callable[[torch.Tensor], torch.Tensor]

IMAGES_AT_A_TIME = 16
NOISE = 0.05  # standard deviation, of intensities in [0, 1]
BLUR = 1.0  # standard deviation in pixels
GAIN = (0.7, 1.3)  # of the contrast about the middle of the range
GAMMA = (0.7, 1.4)
# A landmark that varies by less over the population, in percent of the width, is dead.
DEAD_PERCENT = 0.1


def percent_of_width(difference: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(...,) lengths of normalised differences (..., d) in percent of the image's width."""
    return 100 * np.linalg.norm(difference * half_lengths(shape), axis=-1) / shape[-1]


def equivariance(
    encoder: Encoder, images: torch.Tensor, draws: int, seed: int
) -> dict[str, dict[str, float | None]]:
    """How far landmarks of mapped images are from the mapped landmarks of the images.

    Landmarks that the map takes out of the frame do not count.

    Arguments:
        images: (N, C, *shape) in [0, 1].
        draws: maps of each kind an image.
    Returns:
        kind of map -> median and p95 in percent of the width (None where all left the frame),
        and left_frame, the share that did.
    """
    shape = tuple(images.shape[2:])
    before = encode(encoder, iter(images))
    found = {}
    for kind in KINDS:
        random = np.random.default_rng(derive_seed(seed, "equivariance", kind))
        maps = [[draw_map(kind, shape, random) for _ in images] for _ in range(draws)]
        distances, inside = [], []
        for known in maps:
            pairs = zip(images, known, strict=True)
            after = encode(encoder, (map_image(image, one) for image, one in pairs))
            pairs = zip(before, known, strict=True)
            wanted = np.stack([map_points(points, one, shape) for points, one in pairs])
            distances.append(percent_of_width(after - wanted, shape))
            inside.append((np.abs(wanted) <= 1).all(axis=-1))
        distances, inside = np.stack(distances), np.stack(inside)
        found[kind] = quantiles(distances[inside]) | {"left_frame": float(1 - inside.mean())}
    return found


def repeatability(encoder: Encoder, images: torch.Tensor, seed: int) -> dict[str, float | None]:
    """Median displacement in percent of the width by noise, blur, gain and gamma of the images."""
    before = encode(encoder, iter(images))
    random = np.random.default_rng(derive_seed(seed, "repeatability"))
    gains, gammas = (random.uniform(*span, len(images)) for span in (GAIN, GAMMA))
    arrays = images.numpy()

    def blurred(image: np.ndarray) -> np.ndarray:
        return gaussian_filter(image, [0, *[BLUR] * (image.ndim - 1)], mode="nearest")

    changed = {
        "noise": (image + NOISE * random.standard_normal(image.shape) for image in arrays),
        "blur": (blurred(image) for image in arrays),
        "gain": (0.5 + gain * (image - 0.5) for image, gain in zip(arrays, gains, strict=True)),
        "gamma": (image**gamma for image, gamma in zip(arrays, gammas, strict=True)),
    }
    found = {}
    for name, variants in changed.items():
        tensors = (torch.from_numpy(np.clip(x, 0, 1).astype(np.float32)) for x in variants)
        difference = encode(encoder, tensors) - before
        found[name] = quantiles(percent_of_width(difference, tuple(images.shape[2:])))["median"]
    return found


def dead_share(points: np.ndarray, shape: tuple[int, ...]) -> float:
    """Share of landmarks whose place hardly varies over a population.

    Arguments:
        points: (N, M, d) normalised. A landmark's variation is the root mean square distance
            from its mean place; below DEAD_PERCENT of the width it is dead.
    """
    variation = percent_of_width(points - points.mean(axis=0), shape)
    return float((np.sqrt((variation**2).mean(axis=0)) < DEAD_PERCENT).mean())


@torch.no_grad()
def encode(encoder: Encoder, images: Iterator[torch.Tensor]) -> np.ndarray:
    """(N, M, d) float64 landmarks of images (C, *shape), a few at a time."""
    found, waiting = [], []
    for image in images:
        waiting.append(image)
        if len(waiting) == IMAGES_AT_A_TIME:
            found.append(encoder(torch.stack(waiting)).double().numpy())
            waiting = []
    if waiting:
        found.append(encoder(torch.stack(waiting)).double().numpy())
    return np.concatenate(found)


def quantiles(values: np.ndarray) -> dict[str, float | None]:
    """median and p95 of values, None where there are none."""
    if not values.size:
        return {"median": None, "p95": None}
    median, p95 = np.percentile(values, [50, 95])
    return {"median": float(median), "p95": float(p95)}
