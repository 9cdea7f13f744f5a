"""Landmarks that the table gives, from its files to numbers and figures."""

import os

import numpy as np
import pandas as pd
import pytest
import yaml
from projects import read_table, write_table
from real_data import real_data

pytestmark = pytest.mark.workflow
EXAMPLE = "config/examples/given_landmarks.yaml"


def numbers(project):
    rows = read_table(project.folder / "results/given/numbers.csv")
    return {row["name"]: row for row in rows}


def value(row):
    return float(row["value"])


def interval(row):
    return float(row["ci_low"]), float(row["ci_high"])


def test_the_example_finds_a_bump_and_trains_nothing(project):
    """With a sheet of raters of one's own beside the table."""
    sheet = [
        {"subject": f"m{number:02d}_L", "rater": rater, "score": (number + rater) % 6}
        for number in range(6)
        for rater in range(2)
    ]
    write_table(project.folder / "my_points/ratings.csv", sheet)
    text = (project.folder / EXAMPLE).read_text(encoding="utf-8")
    text = text.replace(
        "      person: person\n", "      person: person\n      ratings: my_points/ratings.csv\n"
    )
    (project.folder / EXAMPLE).write_text(text, encoding="utf-8")
    result = project.run("all", config=EXAMPLE)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]
    folder = project.folder / "results/given"
    found = numbers(project)
    assert value(found["z_auc"]) > 0.9
    assert value(found["mahalanobis_auc"]) > 0.9
    assert 0 < value(found["different_share"]) < 0.3
    assert found["z_rating_spearman"]["n"] == "6"
    assert (folder / "figures/severity.pdf").stat().st_size > 0
    for name in ("mean_shapes", "shape_model"):
        assert (folder / f"figures/{name}.png").stat().st_size > 0
    assert (folder / "analysis/shape_model_modes/landmarks_mode_1_plus_2sd.vtp").exists()
    assert not (folder / "model").exists()
    assert not (folder / "population.h5").exists()
    (summary,) = {row["population"] for row in read_table(project.folder / "results/summary.csv")}
    assert summary == "table my_points/subjects.csv"
    assert "Nothing to be done" in project.run("-n", config=EXAMPLE).stdout
    points = project.folder / "my_points/n03_R.particles"
    os.utime(points, ns=(points.stat().st_mtime_ns + 10**9,) * 2)
    points.write_text(points.read_text().replace("\n", " \n", 1))
    again = project.run("-n", config=EXAMPLE)
    assert "import_landmarks" in again.stdout + again.stderr


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training": {"batch": 4}}, ("experiments.given.training", "trained")),
        ({"population": {"person": "patient"}}, ("population.person", "patient")),
        ({"population": {"control": "healthy"}}, ("population.control", "normal")),
    ],
)
def test_what_has_no_meaning_there_is_refused(project, changes, words):
    content = yaml.safe_load((project.folder / EXAMPLE).read_text(encoding="utf-8"))
    for block, settings in changes.items():
        content["experiments"]["given"].setdefault(block, {}).update(settings)
    (project.folder / "changed.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    result = project.run("-n", config="changed.yaml")
    output = result.stdout + result.stderr
    assert result.returncode == 1
    (line,) = [line for line in output.splitlines() if line.startswith("error:")]
    assert all(word in line for word in words), line


def test_nothing_separates_the_real_femurs(project):
    """49 real femurs of ShapeWorks, 19 and 13 people: no difference, and none is claimed."""
    femurs = real_data("shapeworks_particles/femur_cut")
    table = project.folder / "my_points/subjects.csv"
    rows = [
        {"subject": path.name.split("_femur")[0], "landmarks": path.name}
        for path in sorted(femurs.glob("*.particles"))
    ]
    for row in rows:
        row |= {"group": row["subject"][0], "person": row["subject"][:3]}
    write_table(table, rows)
    content = yaml.safe_load((project.folder / EXAMPLE).read_text(encoding="utf-8"))
    population = content["experiments"]["given"]["population"]
    population |= {"root": str(femurs), "control": "n"}
    config = project.folder / "femurs.yaml"
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    result = project.run("all", config="femurs.yaml")
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]
    found = numbers(project)
    for name in ("z_auc", "mahalanobis_auc"):
        low, high = interval(found[name])
        assert low < 0.5 < high
        assert 0.4 < value(found[name]) < 0.6
        assert value(found[f"{name}_p"]) > 0.2
    assert value(found["different_share"]) == 0
    assert value(found["smallest_corrected_p"]) > 0.2
    # the paper's way tells the same femurs apart without an error, and every control lies alike
    assert value(found["z_auc_in_sample_paper"]) == 1
    scores = pd.read_csv(project.folder / "results/given/analysis/severity.csv")
    controls = scores.loc[scores["group"] == "n", "z_in_sample"]
    np.testing.assert_allclose(controls, 35 / np.sqrt(36), rtol=1e-6)

    population["person"] = None  # the other side of a control stays among the controls
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert project.run("results/given/numbers.csv", config="femurs.yaml").returncode == 0
    assert value(numbers(project)["z_auc"]) > 0.9
