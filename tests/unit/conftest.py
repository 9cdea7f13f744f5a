"""What several unit tests need: small images of known content, and populations of them."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything loads torch: small tensors

import numpy as np
import pandas as pd
import pytest

from lmcore.population.store import write_population


@pytest.fixture
def blobs():
    """Images (n, 1, *shape) float32 in [0, 1]: two blobs of unequal size, elsewhere in each."""

    def make(n: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
        random = np.random.default_rng(seed)
        axes = [np.linspace(-1, 1, length) for length in shape]
        mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        images = []
        for _ in range(n):
            shift = random.uniform(-0.15, 0.15, len(shape))
            large = np.exp(-((mesh - shift + 0.2) ** 2).sum(-1) / 0.15)
            small = np.exp(-((mesh - shift - 0.4) ** 2).sum(-1) / 0.04)
            images.append((0.9 * large + 0.6 * small).clip(0, 1))
        return np.stack(images).astype(np.float32)[:, None]

    return make


@pytest.fixture
def population(tmp_path, blobs):
    """Writes population.h5 and subjects.csv for images of given splits; returns both paths."""

    def write(splits: list[str], shape: tuple[int, ...] = (16, 32), seed: int = 0):
        subjects = [f"s{index:02d}" for index in range(len(splits))]
        # an image index maps to pixels of an original with another scale on each axis
        affine = np.diag([3.0, 2.0, 1.0]) if len(shape) == 2 else np.diag([3.0, 2.0, 1.5, 1.0])
        affine[:-1, -1] = range(5, 5 + len(shape))
        records = [(image, affine, shape) for image in blobs(len(splits), shape, seed)]
        settings = {"size": list(shape), "intensity": "border"}
        path, table = tmp_path / "population.h5", tmp_path / "subjects.csv"
        write_population(path, subjects, shape, 1, settings, records)
        images = [f"{subject}.png" for subject in subjects]
        pd.DataFrame({"subject": subjects, "image": images, "split": splits}).to_csv(
            table, index=False
        )
        return path, table

    return write
