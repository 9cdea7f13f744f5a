"""Particles by coherent point drift on simulated femurs: seconds, and held against the truth."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common
from lmcore.analysis.mean_surfaces import places_on_surface
from lmcore.particles.build import build_particles
from lmcore.particles.surface import DistanceField, spacing_variation
from lmcore.points.geometry import apply_affine, normalised_to_index
from lmcore.points.landmarks import read_landmarks
from lmcore.points.procrustes import generalised_procrustes
from lmcore.population.build import preprocess_population
from lmcore.population.store import Population
from lmcore.simulation import femur

CAM = 1 / 6  # of the subjects, as in the paper's population
SPLIT = {"train": 0.8, "validation": 0.1, "test": 0.1}


def main(arguments: list[str] | None = None) -> None:
    """Print seconds, distance to the surface, evenness and correspondence for each count."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--subjects", type=int, default=64)
    parser.add_argument("--size", type=int, default=48, help="of the volumes, voxels a side")
    parser.add_argument("--points", type=int, nargs="+", default=[256, 2048])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, options)
        rows = [measure(folder, count, options) for count in options.points]
    common.report(
        torch.device("cpu"),
        counts=rows,
        **common.chosen(options, "subjects", "size"),
    )


def prepare(folder: Path, options: argparse.Namespace) -> None:
    """Simulate the femurs and prepare them as the experiment `camfai` does."""
    cam, spacing = round(CAM * options.subjects), 120 / options.size
    femur.simulate(
        folder / "simulated", folder / "truth.csv", options.seed,
        counts={"control": options.subjects - cam, "cam": cam},
        size=[options.size] * 3, spacing=spacing,
    )  # fmt: skip
    settings = {"reflect": "R", "align": "segmentation", "intensity": "window"}
    settings |= {"window": [-200.0, 1200.0], "size": [options.size] * 3, "spacing": spacing}
    preprocess_population(
        folder / "simulated/subjects.csv", None, settings, SPLIT, "group", options.seed,
        folder / "population.h5", folder / "subjects.csv", options.threads, control="control",
    )  # fmt: skip


def measure(folder: Path, count: int, options: argparse.Namespace) -> dict:
    """One count of points, by the code that the workflow runs.

    Returns:
        points; seconds; surface_distance, the largest of any point, in voxels; spacing_variation,
        the coefficient of variation of nearest-neighbour distances, mean and largest over
        subjects; correspondence_mm, see `correspondence_errors`, mean and 95th percentile.
    """
    begin = time.perf_counter()
    build_particles(
        folder / "population.h5", folder / "subjects.csv", "cpd", count, options.seed,
        folder / "particles", options.threads,
    )  # fmt: skip
    seconds = time.perf_counter() - begin
    table = read_landmarks(folder / "particles/particles.csv")
    with Population(folder / "population.h5") as population:
        spacing = population.spacing
        points = normalised_to_index(table.normalised, population.shape) * spacing
        transforms = population.distance_transforms(range(len(points)))
        affines = population.affines
        subjects = population.subjects
    distances = [
        np.abs(DistanceField(transform, spacing).distance(shape)).max() / spacing
        for transform, shape in zip(transforms, points, strict=True)
    ]
    with h5py.File(folder / "truth/surface.h5", "r", locking=False) as file:
        order = [file["subject"].asstr()[:].tolist().index(subject) for subject in subjects]
        world, triangles = file["points"][:][order], file["triangles"][:]
    surfaces = apply_affine(np.linalg.inv(affines), world) * spacing
    errors = correspondence_errors(points, surfaces, triangles)
    variation = spacing_variation(points)
    common.say(f"{count} points: {seconds:.1f} s, correspondence {errors.mean():.2f} mm")
    return {
        "points": count,
        "seconds": seconds,
        "surface_distance_voxels": float(max(distances)),
        "spacing_variation": float(variation.mean()),
        "spacing_variation_largest": float(variation.max()),
        "correspondence_mm": float(errors.mean()),
        "correspondence_mm_p95": float(np.percentile(errors, 95)),
    }


def correspondence_errors(
    points: np.ndarray, surfaces: np.ndarray, triangles: np.ndarray
) -> np.ndarray:
    """(N, M) mm between the anatomy that a point marks in one subject and in the mean of all.

    A point is taken to the nearest place of its subject's true surface, which lies in a
    triangle; the same place of that triangle on the mean of the true surfaces is the anatomy.

    Arguments:
        points: (N, M, 3) mm; surfaces: (N, P, 3) mm, corresponding vertices of the true surfaces.
        triangles: (F, 3) between them.
    """
    mean, _ = generalised_procrustes(surfaces)
    anatomy = np.empty_like(points)
    for shape, surface, marked in zip(points, surfaces, anatomy, strict=True):
        corners, weights = places_on_surface(shape, surface, triangles)
        marked[:] = np.einsum("mk,mkd->md", weights, mean[corners])
    return np.linalg.norm(anatomy - anatomy.mean(axis=0), axis=-1)


if __name__ == "__main__":
    main()
