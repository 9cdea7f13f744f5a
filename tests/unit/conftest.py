"""What several unit tests need: small images of known content, and populations of them."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything loads torch: small tensors

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from lmcore.points.landmarks import landmark_table
from lmcore.population.store import write_population

FIGURE_SHAPES = {"portrait": (48, 20), "landscape": (22, 40)}


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


@pytest.fixture
def saved(monkeypatch):
    """The figures that were saved; nothing is rendered."""
    figures = []

    def keep(figure, path, **_):
        figures.append(figure)
        path.write_text("")

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


@pytest.fixture(params=FIGURE_SHAPES)
def run(request, tmp_path):
    """Files of a small run: 12 subjects, 2 classes (one with a $), 5 landmarks, 3 retained."""
    shape, random = FIGURE_SHAPES[request.param], np.random.default_rng(1)
    names = [f"a_subject_with_quite_a_long_name_{number:02d}" for number in range(12)]
    images = random.random((12, 1, *shape), dtype=np.float32)
    affine = np.eye(3)
    write_population(
        tmp_path / "population.h5", names, shape, 1, {}, ((i, affine, shape) for i in images)
    )
    splits = ["train"] * 6 + ["test"] * 6
    kinds = ["b$b", "a"] * 6
    table = pd.DataFrame({"subject": names, "image": "x.png", "split": splits, "kind": kinds})
    table.to_csv(tmp_path / "subjects.csv", index=False)
    points, affines = random.uniform(-0.9, 0.9, (12, 5, 2)), np.stack([affine] * 12)
    for name, kept in (("all", [0, 1, 2, 3, 4]), ("retained", [1, 3, 4])):
        frame = landmark_table(names, points[:, kept], [k + 1 for k in kept], shape, affines)
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path, shape, names, images, points
