"""Landmarks of images by a trained encoder: what a user needs once training is over."""

import math
import os
import time

import numpy as np
import torch

from lmcore.discovery.checkpoint import load_encoder
from lmcore.discovery.encoder import Encoder
from lmcore.files import write_csv
from lmcore.points.landmarks import landmark_table
from lmcore.population.store import Population
from lmcore.progress import Progress
from lmcore.timings import write_timings

# Images that go through the encoder together, of large volumes fewer: the activations of its first
# block take as much memory as several copies of the images.
IMAGES_AT_A_TIME = 16
VOXELS_AT_A_TIME = 2**24


@torch.no_grad()
def find_landmarks(
    encoder: Encoder, population: Population, indices: list[int] | None = None
) -> np.ndarray:
    """(N, M, d) float64 landmarks in [-1, 1] of a population's images, read a few at a time."""
    indices = list(range(len(population))) if indices is None else list(indices)
    device = next(encoder.parameters()).device
    fitting = VOXELS_AT_A_TIME // math.prod(population.shape)
    at_a_time = min(max(1, fitting), IMAGES_AT_A_TIME)
    progress = Progress("landmarks", len(indices), "images")
    found = []
    for begin in range(0, len(indices), at_a_time):
        images = torch.from_numpy(population.images(indices[begin : begin + at_a_time]))
        found.append(encoder(images.to(device)).double().cpu().numpy())
        progress.update(begin + len(images))
    return np.concatenate(found)


def discover_landmarks(
    population_path: str | os.PathLike,
    encoder_path: str | os.PathLike,
    landmarks_path: str | os.PathLike,
    timings_path: str | os.PathLike,
) -> None:
    """Write the landmark table of a whole population, and how long an image took."""
    encoder, _ = load_encoder(encoder_path)
    with Population(population_path) as population:
        count, begin = len(population), time.perf_counter()
        points = find_landmarks(encoder, population)
        milliseconds = 1000 * (time.perf_counter() - begin) / count
        table = landmark_table(
            population.subjects,
            points,
            list(range(1, encoder.landmarks + 1)),
            population.shape,
            population.affines,
        )
    write_csv(landmarks_path, table)
    write_timings(timings_path, ("inference_ms_per_image", milliseconds, "ms", count))
