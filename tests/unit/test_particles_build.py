import json
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from stand_in import write_stand_in

from lmcore.errors import InputError
from lmcore.particles import build
from lmcore.particles.build import Shapes, build_particles, write_shapeworks_project
from lmcore.particles.table import mean_table, particle_table, read_engine
from lmcore.points.landmarks import read_landmarks
from lmcore.population.segmentations import distance_transform
from lmcore.population.store import Population, Record, write_population

ROOT = Path(__file__).parents[2]
SHAPE, SPACING = (16, 20, 18), 2.0  # z, y, x
SPLITS = ["test", "train", "train", "validation", "train", "train", "held_out"]
SUBJECTS = [f"s{number}" for number in range(len(SPLITS))]


def mask(number):
    """An ellipsoid whose axes and place depend on the number."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)[..., ::-1]
    axes = np.array([5.0, 7.0, 4.5]) + (0.3 * number, -0.4 * (number % 3), 0.2 * (number % 2))
    return (((index - (8.3, 9.4, 7.6)) / axes) ** 2).sum(axis=-1) < 1


def affine_of(number, d=3):
    """Each scan has its own place; odd ones are mirrored."""
    affine = np.diag([SPACING * (-1) ** number, *[SPACING] * (d - 1), 1.0])
    affine[:d, d] = (10 * number, -5, 3)[:d]
    return affine


def write(folder, without=(), splits=SPLITS, shape=SHAPE):
    """population.h5 and subjects.csv; `without` have no segmentation."""

    def record(number):
        image = np.zeros((1, *shape), np.float32)
        if number in without:
            return Record(image, affine_of(number, len(shape)), shape)
        inside = mask(number)
        distances = distance_transform(inside, SPACING)
        return Record(image, affine_of(number), shape, inside.astype(np.uint8), distances)

    path, table = folder / "population.h5", folder / "subjects.csv"
    records = (record(number) for number in range(len(splits)))
    segmented = len(without) < len(splits)
    write_population(
        path, SUBJECTS, shape, 1, {}, records, spacing=SPACING, segmented=segmented
    )  # fmt: skip
    pd.DataFrame({"subject": SUBJECTS, "image": "x.nii", "split": splits}).to_csv(
        table, index=False
    )
    return path, table


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    paths = write(folder)
    build_particles(*paths, "cpd", 50, 3, folder / "particles")
    return folder


def test_particles_are_a_landmark_table_on_every_surface(built):
    particles = read_landmarks(built / "particles/particles.csv")
    assert particles.subjects == SUBJECTS
    assert particles.numbers == list(range(1, 51))
    with Population(built / "population.h5") as population:
        shapes = Shapes(population, dict(zip(SUBJECTS, SPLITS, strict=True)))
        for position, points in enumerate(particles.normalised):
            grid = (points + 1) / 2 * (np.array(SHAPE[::-1]) - 1) * SPACING
            assert np.abs(shapes.field_of(position).distance(grid)).max() < 0.1 * SPACING
            world = grid / SPACING * np.diag(affine_of(position))[:3] + affine_of(position)[:3, 3]
            np.testing.assert_allclose(particles.physical[position], world, atol=1e-5)


def test_aligned_points_are_near_the_mean_and_training_ones_average_to_it(built):
    table = pd.read_csv(built / "particles/particles.csv")
    aligned = table[["aligned_x", "aligned_y", "aligned_z"]].to_numpy().reshape(-1, 50, 3)
    mean = read_landmarks(built / "particles/mean.csv")
    assert mean.subjects == ["mean"]
    assert mean.physical.shape == (1, 50, 3)
    training = np.array(SPLITS) == "train"
    np.testing.assert_allclose(aligned[training].mean(axis=0), mean.physical[0], atol=1e-3)
    assert np.linalg.norm(aligned - mean.physical, axis=-1).mean() < 2 * SPACING


def test_the_mean_has_normalised_coordinates_and_mm_about_the_grids_centre(built):
    mean = read_landmarks(built / "particles/mean.csv")
    half = (np.array(SHAPE[::-1]) - 1) * SPACING / 2
    np.testing.assert_allclose(mean.normalised * half, mean.physical, atol=1e-6)
    assert np.abs(mean.normalised).max() < 1


def test_the_engine_is_named_as_what_it_is(built):
    engine = read_engine(built / "particles/engine.json")
    assert engine["engine"] == "cpd"
    assert engine["name"] == "coherent point drift (biocpd), not ShapeWorks"
    assert engine["version"].startswith("biocpd 1.")
    assert (engine["points"], engine["subjects"], engine["training"]) == (50, 7, 4)
    assert engine["parameters"]["count"] == 50


def test_others_than_the_training_change_no_training_particle_and_no_mean(built, tmp_path):
    paths = write(tmp_path, without=[0, 3, 6])
    build_particles(*paths, "cpd", 50, 3, tmp_path / "particles", workers=2)
    for name in ("mean.csv", "particles.csv"):
        here, there = (pd.read_csv(f / "particles" / name) for f in (tmp_path, built))
        pd.testing.assert_frame_equal(
            here, there[there["subject"].isin(here["subject"])].reset_index(drop=True)
        )
    assert set(here["subject"]) == {"s1", "s2", "s4", "s5"}


def test_the_first_template_is_the_typical_training_shape(tmp_path):
    path, table = write(tmp_path)
    with Population(path) as population:
        shapes = Shapes(population, dict(zip(SUBJECTS, SPLITS, strict=True)))
        training = [1, 2, 4, 5]
        distances = population.distance_transforms(training)
        costs = [np.square(distances - one).sum() for one in distances]
        assert shapes.medoid() == training[int(np.argmin(costs))]


def test_too_few_segmentations_are_refused(tmp_path):
    paths = write(tmp_path, without=[1, 4])
    with pytest.raises(InputError, match="3 training subjects with a segmentation, there are 2"):
        build_particles(*paths, "cpd", 50, 3, tmp_path / "particles")


def test_images_have_no_surfaces(tmp_path):
    paths = write(tmp_path, without=range(7), shape=(20, 18))
    with pytest.raises(InputError, match="volumes: set particles to null"):
        build_particles(*paths, "cpd", 50, 3, tmp_path / "particles")


def test_tables_hold_what_they_are_given():
    points = np.array([[[2.0, 4.0, 6.0], [34.0, 38.0, 30.0]]])  # mm on the grid
    table = particle_table(["a"], points, points + 1, SHAPE, SPACING, affine_of(1)[None])
    np.testing.assert_allclose(table[["i", "j", "k"]], [[1, 2, 3], [17, 19, 15]])
    np.testing.assert_allclose(
        table[["world_x", "world_y", "world_z"]], [[8, -1, 9], [-24, 33, 33]]
    )
    centred = [[-14, -14, -8], [18, 20, 16]]
    np.testing.assert_allclose(table[["aligned_x", "aligned_y", "aligned_z"]], centred)
    mean = mean_table(points[0], SHAPE, SPACING)
    np.testing.assert_allclose(mean[["world_x", "world_y", "world_z"]], np.array(centred) - 1)


@pytest.mark.parametrize("content", [None, "[]", "{}", "{"])
def test_a_file_that_names_no_engine_is_refused(tmp_path, content):
    path = tmp_path / "engine.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=r"engine\.json of particles"):
        read_engine(path)


def run_stand_in(folder, stage):
    program = write_stand_in(folder)
    command = (
        f"declare -A snakemake_input=([project]={folder}/{stage}_project) "
        f"snakemake_output=([particles]={folder}/{stage}) snakemake_log=([0]={folder}/log) "
        f"snakemake_params=([shapeworks]={program}); declare -A snakemake=([threads]=1); "
        f"source {ROOT}/workflow_scripts/optimize_shapes.sh"
    )
    subprocess.run(["bash", "-c", command], check=True, capture_output=True)


def test_a_stand_in_for_shapeworks_goes_through_both_stages_to_the_same_files(tmp_path):
    paths = write(tmp_path)
    optimized = {"training": tmp_path / "training", "held_out": tmp_path / "held_out"}
    for stage in optimized:
        settings = {"narrow_band": 5.0}
        folder = tmp_path / f"{stage}_project"
        write_shapeworks_project(*paths, stage, 30, settings, folder, optimized["training"])
        run_stand_in(tmp_path, stage)
    names = [row["name"] for row in json.loads((folder / "project.swproj").read_text())["data"]]
    assert names == ["s1", "s2", "s4", "s5", "s0", "s3", "s6"]
    build_particles(
        *paths, "shapeworks", 30, 3, tmp_path / "particles", optimized=optimized
    )  # fmt: skip
    particles = read_landmarks(tmp_path / "particles/particles.csv")
    assert particles.subjects == SUBJECTS
    index = (particles.normalised + 1) / 2 * (np.array(SHAPE[::-1]) - 1)
    np.testing.assert_allclose(index, np.round(index), atol=1e-4)  # the stand-in's are voxels
    for number, points in enumerate(np.round(index).astype(int)):
        assert mask(number)[tuple(points.T[::-1])].all()
    engine = read_engine(tmp_path / "particles/engine.json")
    assert (engine["name"], engine["version"]) == ("ShapeWorks", "stand-in for ShapeWorks 0.0")
    assert engine["parameters"]["narrow_band"] == "5"

    (tmp_path / "held_out/project_particles/s3_world.particles").unlink()
    with pytest.raises(InputError, match="no particles of s3"):
        build_particles(
            *paths, "shapeworks", 30, 3, tmp_path / "particles", optimized=optimized
        )  # fmt: skip


def test_no_engine_stands_in_for_another(tmp_path, monkeypatch):
    monkeypatch.setattr(build.cpd, "correspond", None)  # calling it would be an error
    paths = write(tmp_path)
    missing = {"training": tmp_path / "nowhere", "held_out": tmp_path / "nowhere"}
    with pytest.raises(InputError, match="ShapeWorks wrote no particles"):
        build_particles(*paths, "shapeworks", 30, 3, tmp_path / "particles", optimized=missing)
