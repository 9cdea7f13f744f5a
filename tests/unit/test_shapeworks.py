"""The files that pass to and from ShapeWorks; a stand-in in its place proves nothing of it."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from real_data import real_data
from stand_in import executable, write_stand_in

from lmcore.errors import InputError
from lmcore.particles import shapeworks
from lmcore.particles.executable import find_shapeworks

ROOT = Path(__file__).parents[2]
SHAPE, SPACING = (10, 14, 12), 2.0


@pytest.fixture
def stand_in(tmp_path):
    return write_stand_in(tmp_path)


def box(low, high):
    """Distance (z, y, x) to a box between two indices (x, y, z), negative inside."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), axis=-1)[..., ::-1]
    offset = np.maximum(np.array(low) - index, index - np.array(high))
    return (offset.max(axis=-1) * SPACING).astype(np.float32)


TRANSFORMS = {
    "b": box((2, 3, 1), (8, 10, 6)),
    "a": box((3, 2, 2), (9, 11, 7)),
    "new": box((1, 4, 2), (7, 12, 8)),
}


def optimize(project, particles, command):
    """Runs the rule's script as Snakemake would."""
    log = particles.with_suffix(".log")
    arrays = (
        f'declare -A snakemake_input=([project]="{project}"); '
        f'declare -A snakemake_output=([particles]="{particles}"); '
        f'declare -A snakemake_log=([0]="{log}"); '
        f'declare -A snakemake_params=([shapeworks]="{command}"); '
        "declare -A snakemake=([threads]=2);"
    )
    script = ROOT / "workflow_scripts/optimize_shapes.sh"
    run = subprocess.run(
        ["bash", "-c", f"{arrays} source {script}"], capture_output=True, text=True
    )
    return run.returncode, log.read_text() if log.exists() else run.stderr


def write_training(folder, **settings):
    subjects = ["b", "a"]
    transforms = (TRANSFORMS[name] for name in subjects)
    shapeworks.write_project(folder, subjects, transforms, SPACING, 20, settings)
    return folder


def test_every_value_of_a_project_is_a_string_with_the_defaults_of_shapeworks(tmp_path):
    project = json.loads((write_training(tmp_path) / "project.swproj").read_text())
    assert project["data"] == [
        {"name": n, "shape_1": f"groomed/{n}.nrrd", "groomed_1": f"groomed/{n}.nrrd"} for n in "ba"
    ]
    assert project["optimize"] == {
        "number_of_particles": "20",
        "initial_relative_weighting": "0.05",
        "relative_weighting": "1",
        "starting_regularization": "1000",
        "ending_regularization": "10",
        "narrow_band": "4",
        "multiscale": "false",  # 20 are fewer than 32
        "multiscale_particles": "32",
        "iterations_per_split": "1000",
        "optimization_iterations": "1000",
        "procrustes": "false",
        "use_normals": "0",
        "optimize_output_prefix": "<project>_particles",
    }


def test_settings_are_written_without_exponents(tmp_path):
    settings = {"multiscale_particles": 8, "ending_regularization": 1e-7}
    project = json.loads((write_training(tmp_path, **settings) / "project.swproj").read_text())
    assert project["optimize"]["multiscale"] == "true"
    assert project["optimize"]["ending_regularization"] == "0.0000001"


def test_groomed_shapes_are_positive_inside_and_lie_in_lps_about_the_grids_middle(tmp_path):
    write_training(tmp_path)
    image = sitk.ReadImage(str(tmp_path / "groomed/b.nrrd"))
    assert image.GetSize() == SHAPE[::-1]
    assert image.GetSpacing() == (SPACING,) * 3
    assert image.GetDirection() == tuple(np.eye(3).ravel())
    for index in ((4, 5, 2), (0, 12, 9), (7, 8, 4), (11, 0, 0)):  # on the grid, x y z
        centred = (np.array(index) - (np.array(SHAPE[::-1]) - 1) / 2) * SPACING
        lps = centred * (-1, -1, 1)
        value = image.GetPixel(image.TransformPhysicalPointToIndex(lps.tolist()))
        distance = TRANSFORMS["b"][index[::-1]]
        assert (value > 0) == (distance < 0), index
        on_grid = shapeworks.to_grid(lps, SHAPE, SPACING)
        np.testing.assert_allclose(on_grid, np.array(index) * SPACING)


def test_particles_outside_of_the_images_are_refused():
    with pytest.raises(InputError, match="outside the images"):
        shapeworks.to_grid(np.array([[0.0, 0.0, 30.0]]), SHAPE, SPACING)


def test_a_stand_in_runs_on_a_copy_of_the_project_and_its_particles_come_back(tmp_path, stand_in):
    project = write_training(tmp_path / "project")
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    code, log = optimize(project, tmp_path / "training", stand_in)
    assert code == 0, log
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before
    rewritten = json.loads((tmp_path / "training/project.swproj").read_text())
    assert rewritten["rewritten"] == "yes"  # and its paths are those of the folder it lies in
    assert (tmp_path / "training/version.txt").read_text() == "stand-in for ShapeWorks 0.0\n"
    names, particles = shapeworks.read_particles(tmp_path / "training/project_particles")
    assert names == ["a", "b"]
    assert particles.shape == (2, 20, 3)
    points = shapeworks.to_grid(particles[1], SHAPE, SPACING) / SPACING
    values = TRANSFORMS["b"][tuple(np.round(points).astype(int).T[::-1])]
    assert (values <= SPACING).all()  # in the box, but for the smoothing


def test_a_stand_in_gets_the_training_fixed_and_starts_others_from_its_mean(tmp_path, stand_in):
    project = write_training(tmp_path / "project")
    assert optimize(project, tmp_path / "training", stand_in)[0] == 0
    held_out = tmp_path / "held_out_project"
    shapeworks.write_fixed_project(
        held_out, tmp_path / "training", ["new"], iter([TRANSFORMS["new"]]), SPACING, {}
    )
    content = json.loads((held_out / "project.swproj").read_text())
    assert [(row["name"], row["fixed"]) for row in content["data"]] == [
        ("a", "true"), ("b", "true"), ("new", "false"),
    ]  # fmt: skip
    options = content["optimize"]
    assert options["fixed_subjects_column"] == "fixed"
    assert options["fixed_subjects_choice"] == "true"
    assert (options["use_fixed_subjects"], options["use_landmarks"]) == ("true", "true")
    assert options["number_of_particles"] == "20"
    _, trained = shapeworks.read_particles(tmp_path / "training/project_particles")
    np.testing.assert_allclose(np.loadtxt(held_out / "fixed/mean.particles"), trained.mean(axis=0))
    np.testing.assert_allclose(
        np.loadtxt(held_out / content["data"][0]["landmarks_file_1"]), trained[0]
    )
    code, log = optimize(held_out, tmp_path / "held_out", stand_in)
    assert code == 0, log
    names, particles = shapeworks.read_particles(tmp_path / "held_out/project_particles")
    assert names == ["a", "b", "new"]
    np.testing.assert_allclose(particles[:2], trained, atol=1e-6)


@pytest.mark.parametrize(
    "text", ["#!/bin/sh\necho no licence >&2\nexit 3\n", "#!/bin/sh\nexit 0\n"]
)
def test_a_stand_in_that_fails_or_writes_nothing_ends_the_log_with_one_error_line(tmp_path, text):
    broken = executable(tmp_path / "broken_stand_in", text)
    code, log = optimize(write_training(tmp_path / "project"), tmp_path / "training", broken)
    assert code == 1
    assert log.splitlines()[-1].startswith("error: ")
    assert ("no licence" in log) == ("licence" in text)


def test_shapeworks_is_found_by_path_by_folder_and_on_the_path(tmp_path, monkeypatch):
    program = executable(tmp_path / "shapeworks", "#!/bin/sh\n")
    assert find_shapeworks(program) == str(program)
    assert find_shapeworks(tmp_path) == str(program)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_shapeworks(None) == str(program)
    monkeypatch.chdir(tmp_path)
    assert find_shapeworks("shapeworks") == str(program)


@pytest.mark.parametrize("path", [None, "nowhere/shapeworks"])
def test_a_missing_shapeworks_is_one_line_that_says_what_where_and_how(tmp_path, monkeypatch, path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError) as error:
        find_shapeworks(path)
    message = str(error.value)
    assert "\n" not in message
    for part in ("engine is shapeworks", "install", "docs/shapeworks.md", path or "PATH"):
        assert part in message


def test_a_file_that_is_no_program_is_not_shapeworks(tmp_path):
    (tmp_path / "shapeworks").write_text("")
    with pytest.raises(InputError, match="no executable"):
        find_shapeworks(tmp_path / "shapeworks")


@pytest.mark.parametrize(
    ("content", "fault"),
    [("1 2\n", "not three numbers"), ("1 2 x\n", "cannot be read"), ("1 2 nan\n", "finite numbers"),
     ("1 2 3\n", "1 particles, a_world.particles has 2")],
)  # fmt: skip
def test_particles_that_are_none_are_refused_by_name(tmp_path, content, fault):
    (tmp_path / "a_world.particles").write_text("0 0 0\n1 1 1\n")
    (tmp_path / "b_world.particles").write_text(content)
    with pytest.raises(InputError, match=f"b_world.particles: .*{fault}"):
        shapeworks.read_particles(tmp_path)


def test_a_folder_without_particles_is_refused(tmp_path):
    with pytest.raises(InputError, match="wrote no particles"):
        shapeworks.read_particles(tmp_path)


@pytest.mark.parametrize(
    ("name", "shapes", "count"),
    [("femur_cut", 49, 512), ("left_atrium", 50, 512), ("ellipsoid", 15, 128)],
)
def test_the_output_of_real_shapeworks_is_read(name, shapes, count):
    folder = real_data(f"shapeworks_particles/{name}")
    names, particles = shapeworks.read_particles(folder)
    assert particles.shape == (shapes, count, 3)
    assert names == sorted(p.name[: -len("_world.particles")] for p in folder.glob("*.particles"))
    lines = (folder / f"{names[-1]}_world.particles").read_text().split("\n")
    np.testing.assert_array_equal(particles[-1, 7], [float(x) for x in lines[7].split()])
