"""Particles through the workflow: as the start of a training, and by ShapeWorks or an error."""

import json

import numpy as np
import pytest
import yaml
from projects import read_table
from stand_in import write_stand_in

from lmcore.points.landmarks import read_landmarks
from lmcore.points.thinning import farthest_points

pytestmark = pytest.mark.workflow
PARTICLES = "results/camfai/particles"


def configure(project, **blocks):
    """camfai.yaml: the experiment `camfai` of the small configuration, blocks merged over it."""
    content = yaml.safe_load((project.folder / "small.yaml").read_text(encoding="utf-8"))
    experiment = content["experiments"]["camfai"]
    for name, settings in blocks.items():
        experiment.setdefault(name, {}).update(settings)
    content |= {"run": ["camfai"], "experiments": {"camfai": experiment}, "studies": {}}
    (project.folder / "camfai.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return "camfai.yaml"


def test_a_training_starts_from_the_mean_particles(project):
    """With steps that hardly move it, the encoder finds its landmarks where it began."""
    config = configure(
        project,
        model={"initial_landmarks": "particles", "landmarks": 6},
        training={"learning_rate": 1e-9, "pairs": 20, "validate_every": 20},
    )
    result = project.run("results/camfai/landmarks/all.csv", config=config)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]
    mean = read_landmarks(project.folder / PARTICLES / "mean.csv")
    assert mean.subjects == ["mean"]
    start = mean.normalised[0][farthest_points(mean.physical[0], 6)]
    found = read_landmarks(project.folder / "results/camfai/landmarks/all.csv").normalised
    # the points lie half a grid apart; an untrained encoder spreads them by a tenth of that
    np.testing.assert_allclose(found.mean(axis=0), start, atol=0.1)
    assert np.linalg.norm(start[:, None] - start, axis=-1)[~np.eye(6, dtype=bool)].min() > 0.3


@pytest.mark.parametrize("option", ["-n", "all"])
@pytest.mark.parametrize("path", [None, "programs/ShapeWorks"])
def test_a_missing_shapeworks_is_one_line_before_anything_runs(project, option, path):
    config = configure(project, particles={"engine": "shapeworks", "path": path})
    result = project.run(option, config=config)
    output = result.stdout + result.stderr
    assert result.returncode == 1
    (line,) = [line for line in output.splitlines() if line.startswith("error:")]
    assert "particles.engine is shapeworks" in line
    assert (path or "no executable 'shapeworks' in any folder of PATH") in line
    assert "docs/shapeworks.md" in line
    assert "Traceback" not in output
    assert not (project.folder / "results").exists()


def test_a_stand_in_for_shapeworks_is_run_for_both_stages_by_the_rules(project):
    """What the rules do around the program; of ShapeWorks itself this says nothing."""
    program = write_stand_in(project.folder)
    config = configure(
        project, particles={"engine": "shapeworks", "path": str(program), "count": 30}
    )
    result = project.run(f"{PARTICLES}/particles.csv", config=config)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]
    folder = project.folder / PARTICLES
    engine = json.loads((folder / "engine.json").read_text(encoding="utf-8"))
    assert (engine["name"], engine["version"]) == ("ShapeWorks", "stand-in for ShapeWorks 0.0")
    assert engine["parameters"]["number_of_particles"] == "30"
    assert len(read_table(folder / "particles.csv")) == 15 * 30
    splits = {
        row["subject"]: row["split"]
        for row in read_table(project.folder / "results/camfai/subjects.csv")
    }
    training = {subject for subject, split in splits.items() if split == "train"}
    written = (folder / "shapeworks/training/project_particles").glob("*_world.particles")
    assert {path.name.removesuffix("_world.particles") for path in written} == training
    held_out = json.loads((folder / "shapeworks/held_out/project.swproj").read_text())
    fixed = {row["name"] for row in held_out["data"] if row["fixed"] == "true"}
    assert fixed == training
    assert {row["name"] for row in held_out["data"]} == set(splits)
    again = project.run(f"{PARTICLES}/mean.csv", config=config)
    assert "Nothing to be done" in again.stdout + again.stderr
