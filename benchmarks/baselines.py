"""What a user would pick instead of discovered landmarks, beside them in the same table."""

from dataclasses import replace

import numpy as np
import torch

from benchmarks.equivariance import encode
from benchmarks.known_maps import draw_map, map_image, map_points
from lmcore.discovery.initial import initial_encoder
from lmcore.discovery.settings import TrainingSettings
from lmcore.discovery.trainer import SAMPLE
from lmcore.progress import Progress
from lmcore.seeds import derive_seed

SUPERVISED_STEPS = 1500
SUPERVISED_BATCH = 12
SUPERVISED_LEARNING_RATE = 1e-3


def pixel_pca(seen: np.ndarray, unseen: np.ndarray, count: int) -> np.ndarray:
    """Scores of unseen images on the first principal components of the seen ones.

    Arguments:
        seen: (n, ...) images; unseen: (m, ...); count: of components, if so many exist.
    Returns:
        (m, min(count, n - 1)), fewer where the seen images vary in fewer ways.
    """
    flat = seen.reshape(len(seen), -1).astype(np.float64)
    mean = flat.mean(axis=0)
    # of the small matrix of products between images: a volume has far more voxels
    values, vectors = np.linalg.eigh((flat - mean) @ (flat - mean).T)
    values, vectors = values[::-1], vectors[:, ::-1]
    count = min(count, len(seen) - 1, int((values > 1e-10 * values[0]).sum()))
    axes = (flat - mean).T @ vectors[:, :count] / np.sqrt(values[:count])
    return (unseen.reshape(len(unseen), -1) - mean) @ axes


def supervised_landmarks(
    seen: torch.Tensor,
    points: np.ndarray,
    unseen: torch.Tensor,
    settings: TrainingSettings,
    seed: int,
) -> np.ndarray:
    """The ceiling: the same network, trained on hand-placed landmarks of the seen images.

    Mean squared error on images under known affine maps, Adam under a one-cycle learning rate.

    Arguments:
        seen: (n, C, *shape); points: (n, K, d) their hand-placed landmarks, normalised.
        unseen: (m, C, *shape); settings: of the discovery, for the network.
    Returns:
        (m, K, d) normalised landmarks of the unseen images.
    """
    shape, device = tuple(seen.shape[2:]), settings.device()
    encoder = initial_encoder(
        seen[:SAMPLE],
        replace(settings, landmarks=points.shape[1]),
        seed,
        torch.from_numpy(points.mean(axis=0)),
    ).to(device)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=SUPERVISED_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, SUPERVISED_LEARNING_RATE, SUPERVISED_STEPS
    )
    random = np.random.default_rng(derive_seed(seed, "supervised"))
    progress = Progress("supervised encoder", SUPERVISED_STEPS, "steps")
    for step in range(SUPERVISED_STEPS):
        drawn = random.choice(len(seen), min(SUPERVISED_BATCH, len(seen)), replace=False)
        maps = [draw_map("affine", shape, random) for _ in drawn]
        images = [map_image(seen[i], known) for i, known in zip(drawn, maps, strict=True)]
        wanted = [map_points(points[i], known, shape) for i, known in zip(drawn, maps, strict=True)]
        found = encoder(torch.stack(images).to(device))
        loss = (found - torch.from_numpy(np.stack(wanted)).to(found)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        progress.update(step + 1)
    return encode(encoder.eval().cpu(), iter(unseen))
