"""What a user can get wrong: one `error:` line, exit code 1, nothing half-written."""

import csv

import nibabel
import numpy as np
import pytest
import yaml
from PIL import Image
from projects import read_table, write_table

pytestmark = pytest.mark.workflow


def write_config(project, changes: dict, run: str = "mine"):
    """mine.yaml: an experiment of the small configuration with some keys changed."""
    content = yaml.safe_load((project.folder / "small.yaml").read_text())
    content["run"] = [run]
    for path, value in changes.items():
        *blocks, key = path.split(".")
        block = content["experiments"][run] if blocks != ["top"] else content
        for name in blocks if blocks != ["top"] else []:
            block = block.setdefault(name, {})
        block[key] = value
    (project.folder / "mine.yaml").write_text(yaml.safe_dump(content))


STUDY = {"question": "?", "x": "x", "panels": {"y": ["n"]}, "runs": {"mine/variants/gone": 1}}


def assert_refused(project, *words: str, target: str = "all"):
    """Snakemake stops with exactly one error line that holds the words, and leaves no results."""
    result = project.run(target, config="mine.yaml")
    output = result.stdout + result.stderr
    assert result.returncode == 1, output
    lines = [line for line in output.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, output
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in output
    results = project.folder / "results"
    left = [p for p in results.rglob("*") if p.is_file() and results / "logs" not in p.parents]
    assert left == []


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("trainng", {}, ("experiments.mine.trainng", "training")),
        ("training.learning_rte", 0.1, ("learning_rte", "learning_rate")),
        ("training.regularization", "1e-5", ("regularization", "1.0e-5")),
        ("top.sed", 3, ("sed", "seed")),
        ("top.run", ["yours"], ("yours", "mine")),
        ("redundancy.retain", 9, ("retain", "9", "5")),
        ("population.class", "genus", ("genus", "kind")),
        ("population.table", "nowhere.csv", ("nowhere.csv",)),
        ("analyses.classification.folds", 7, ("7", "6")),
        ("analyses.classification.iterations", [5, 9], ("iterations", "4 folds")),
        ("top.studies", {"a": STUDY}, ("studies.a.runs", "mine/variants/gone")),
    ],
)
def test_configuration(project, path, value, words):
    write_config(project, {path: value})
    assert_refused(project, *words)


def spoil_table(project, change):
    rows = read_table(project.folder / "my_images/subjects.csv")
    change(rows)
    write_table(project.folder / "my_images/subjects.csv", rows)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("image", "gone.png", ("s03", "gone.png")),
        ("subject", "s04", ("s04",)),
        ("subject", "../s03", ("../s03",)),
        ("image", "../small.yaml", ("s03",)),
    ],
)
def test_table(project, key, value, words):
    write_config(project, {})
    spoil_table(project, lambda rows: rows[3].update({key: value}))
    assert_refused(project, *words)


def truncate(path):
    path.write_bytes(path.read_bytes()[:60])


def no_image(path):
    path.write_text("not an image")


def constant(path):
    Image.fromarray(np.full((40, 50), 7, np.uint8)).save(path)


def not_a_number(path):
    values = np.linspace(0, 1, 2000, dtype=np.float32).reshape(40, 50)
    values[3, 4] = np.nan
    Image.fromarray(values).save(path, format="TIFF")


@pytest.mark.parametrize("spoil", [truncate, no_image, constant, not_a_number])
def test_image(project, spoil):
    write_config(project, {})
    name = "s02.tif" if spoil is not_a_number else "s03.png"
    spoil(project.folder / "my_images" / name)
    assert_refused(project, name)


def empty(array):
    return np.zeros_like(array)


def outside_the_box(array):
    corner = np.zeros_like(array)
    corner[:2, :2, :2] = 1
    return corner


@pytest.mark.parametrize("spoil", [empty, outside_the_box])
def test_segmentation(project, spoil):
    """Its subject and its file are named, whatever else could be done with the scan."""
    write_config(project, {"preprocess.align": "image", "preprocess.crop": {"box": [18, 20, 20]}},
                 run="scans")  # fmt: skip
    path = project.folder / "my_scans/labels/s05.nii.gz"
    labels = nibabel.load(path)
    spoiled = spoil(np.asarray(labels.dataobj))
    nibabel.Nifti1Image(spoiled, labels.affine).to_filename(path)
    assert_refused(project, "s05", "s05.nii.gz", "empty")


def test_all_bad_images_are_named_at_once(project):
    write_config(project, {})
    for name in ("s03.png", "s06.tif", "s00.png"):
        constant(project.folder / "my_images" / name)
    assert_refused(project, "s00.png", "s03.png", "s06.tif")


def test_a_run_without_mistakes_passes_the_same_check(project):
    write_config(project, {})
    result = project.run("-n", config="mine.yaml")
    assert result.returncode == 0, result.stderr
    with (project.folder / "my_images/subjects.csv").open() as file:
        assert len(list(csv.reader(file))) == 13
