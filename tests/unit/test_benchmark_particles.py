"""The measurement of particles against a truth that is known in closed form."""

import json

import numpy as np
import torch

from benchmarks import particles

KEYS = {
    *("points", "seconds", "surface_distance_voxels", "correspondence_mm"),
    *("correspondence_mm_p95", "spacing_variation", "spacing_variation_largest"),
}


def sheets(count):
    """(count, 5 x 4, 3) corresponding vertices of bent sheets in several poses, and triangles."""
    random = np.random.default_rng(3)
    x, y = (part.ravel() for part in np.meshgrid(np.arange(5.0), np.arange(4.0)))
    triangles = []
    for row in range(3):
        for column in range(4):
            a, b = 5 * row + column, 5 * (row + 1) + column
            triangles += [(a, a + 1, b), (b, a + 1, b + 1)]
    surfaces = []
    for _ in range(count):
        bend = random.uniform(-0.2, 0.2)
        points = np.stack([x, y, bend * (x - 2) ** 2], axis=1)
        surfaces.append(points + random.uniform(-9, 9, 3))
    return np.array(surfaces), np.array(triangles)


def test_points_at_the_same_place_of_every_surface_correspond():
    surfaces, triangles = sheets(6)
    weights = np.random.default_rng(0).dirichlet((1, 1, 1), 15)
    corners = triangles[np.random.default_rng(1).integers(0, len(triangles), 15)]
    points = np.einsum("mk,nmkd->nmd", weights, surfaces[:, corners])
    errors = particles.correspondence_errors(points, surfaces, triangles)
    assert errors.shape == (6, 15)
    assert errors.max() < 1e-5


def test_a_point_that_slides_in_one_subject_errs_by_how_far_it_slid():
    flat, triangles = sheets(1)
    flat[..., 2] = 0
    surfaces = np.repeat(flat, 5, axis=0) + np.arange(5)[:, None, None]
    points = surfaces[:, [7, 12]].copy()
    points[3, 1, 0] += 1.5
    errors = particles.correspondence_errors(points, surfaces, triangles)
    np.testing.assert_allclose(errors[:, 0], 0, atol=1e-5)
    # of 1.5 mm the mean anatomy takes a fifth
    np.testing.assert_allclose(errors[:, 1], [0.3, 0.3, 0.3, 1.2, 0.3], atol=1e-5)


def test_what_is_printed(capsys):
    threads = torch.get_num_threads()
    particles.main(["--subjects", "20", "--size", "32", "--points", "40", "--threads", "1"])
    torch.set_num_threads(threads)
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["subjects"] == 20
    (row,) = found["counts"]
    assert row.keys() == KEYS
    assert row["points"] == 40
    assert row["surface_distance_voxels"] < 0.1
    assert row["spacing_variation"] <= row["spacing_variation_largest"] < 0.35
    # far from chance: 40 points lie about 20 mm apart
    assert 0.1 < row["correspondence_mm"] < 5
    assert row["correspondence_mm"] < row["correspondence_mm_p95"]
