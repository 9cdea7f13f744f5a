import numpy as np
import pandas as pd
import pytest
import torch

from lmcore.discovery import inference
from lmcore.discovery.checkpoint import save_encoder
from lmcore.discovery.encoder import LandmarkEncoder
from lmcore.discovery.inference import discover_landmarks, find_landmarks
from lmcore.points.landmarks import read_landmarks
from lmcore.population.store import Population


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    found = LandmarkEncoder((16, 32), 4, widths=(2, 2, 2, 2), hidden=4).eval()
    torch.nn.init.normal_(found.linear[-1].weight, std=5)  # every image its own landmarks
    return found


@pytest.mark.parametrize(
    ("images", "voxels", "largest"),
    [(2, 2**24, 2), (16, 2**24, 5), (16, 3 * 16 * 32, 3), (16, 1, 1)],
)
def test_landmarks_of_every_image(population, blobs, encoder, monkeypatch, images, voxels, largest):
    monkeypatch.setattr(inference, "IMAGES_AT_A_TIME", images)
    monkeypatch.setattr(inference, "VOXELS_AT_A_TIME", voxels)
    together = []
    encoder.register_forward_pre_hook(lambda _, given: together.append(len(given[0])))
    path, _ = population(["train"] * 5)
    images = torch.from_numpy(blobs(5, (16, 32)))
    expected = torch.cat([encoder(image[None]) for image in images]).detach()
    assert (expected[0] - expected[1]).abs().max() > 0.01
    together.clear()
    with Population(path) as opened:
        every = find_landmarks(encoder, opened)
        assert (max(together), sum(together)) == (largest, 5)
        some = find_landmarks(encoder, opened, [4, 0, 3])
    assert every.dtype == np.float64
    np.testing.assert_allclose(every, expected, atol=1e-6)
    np.testing.assert_allclose(some, expected[[4, 0, 3]], atol=1e-6)


def test_table_and_timings(population, blobs, encoder, tmp_path):
    path, _ = population(["train", "test", "validation"])
    preprocessing = {"size": [16, 32], "intensity": "border"}
    save_encoder(tmp_path / "encoder.pt", encoder, kernel="paper", preprocessing=preprocessing)
    table, timings = tmp_path / "all.csv", tmp_path / "timings.csv"
    discover_landmarks(path, tmp_path / "encoder.pt", table, timings)
    found = read_landmarks(table)
    assert found.subjects == ["s00", "s01", "s02"]
    assert found.numbers == [1, 2, 3, 4]
    points = encoder(torch.from_numpy(blobs(3, (16, 32)))).detach().double().numpy()
    np.testing.assert_allclose(found.normalised, points, atol=1e-6)
    # 31 steps along x, 15 along y; the fixture's affine is (3 i + 5, 2 j + 6)
    physical = (points + 1) / 2 * [31, 15] * [3, 2] + [5, 6]
    np.testing.assert_allclose(found.physical, physical, atol=1e-4)
    row = pd.read_csv(timings).iloc[0]
    assert (row["name"], row["unit"], row["n"]) == ("inference_ms_per_image", "ms", 3)
    assert row["value"] > 0
