"""Leaks into what is not fitted by a network

Normalisation, copies of an image, encoders from elsewhere, and the analyses. The common grid is
chosen to hold every scan of the table, those of test subjects as well: it is their field of view
that counts there, or with `preprocess.crop.margin` their segmentation, and no intensity.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bad_volumes import nifti_of, solid
from experiment import SUBJECTS, Experiment
from sandbox import run
from users import Sandbox, assert_refused

from lmcore.analysis.classification import classify_subjects
from lmcore.analysis.severity import score_severity
from lmcore.points.landmarks import landmark_table
from lmcore.population import build_volumes
from lmcore.population.store import Population

SPLITS = ["train"] * 6 + ["validation"] * 3 + ["test"] * 3


def leak_into_normalisation() -> None:
    honest = build_volumes.choose_preprocessing
    build_volumes.choose_preprocessing = lambda surveys, mirrored, training, *more: honest(
        surveys, mirrored, [True] * len(training), *more
    )


def nothing() -> None:
    pass


def scans(folder: Path, brightness: int, plant: Callable[[], None] = nothing) -> Path:
    """A population with intensities over the training split; those of test are multiplied."""
    folder.mkdir()
    sandbox = Sandbox(folder, 3, SUBJECTS)
    for number, (row, split) in enumerate(zip(sandbox.rows, SPLITS, strict=True)):
        row["split"] = split
        scan = solid(number) * (brightness if split == "test" else 1)
        (sandbox.data / row["image"]).write_bytes(nifti_of(scan, packed=True))
    sandbox.write_table()
    job = sandbox.preprocessing_job(intensity_over="training")

    def work() -> None:
        plant()
        job()

    assert run(work).code == 0, sandbox.preprocessing_log.read_text()
    return sandbox.results


def normalised(results: Path) -> tuple:
    """What normalisation decided for all, and the images of those who are not tested."""
    with Population(results / "population.h5") as population:
        images = population.images(range(SPLITS.index("test"))).tobytes()
        return population.preprocessing, population.medoid, images


def test_normalisation(tmp_path, survived):
    one, other = (scans(tmp_path / f"{n}", n) for n in (1, 3))
    assert normalised(one) == normalised(other)
    survived(
        "none in normalisation; the test subjects' scans are three times as bright",
        "the same bytes of common intensities, typical scan and training images",
    )
    one, other = (scans(tmp_path / f"leaky{n}", n, leak_into_normalisation) for n in (1, 3))
    assert normalised(one) != normalised(other)
    survived("test subjects in normalisation", "the bytes differ")


def user(folder: Path, splits: list[str]) -> Sandbox:
    """A user's folder of 12 images with splits of their own, prepared."""
    folder.mkdir()
    sandbox = Sandbox(folder, 2, SUBJECTS)
    for row, split in zip(sandbox.rows, splits, strict=True):
        row["split"] = split
    sandbox.write_table()
    return sandbox


def test_the_same_image_under_two_names(tmp_path, survived):
    sandbox = user(tmp_path / "user", SPLITS)
    shutil.copy(sandbox.data / "s00.png", sandbox.data / "s11.png")
    assert sandbox.preprocess().code == 0
    experiment = Experiment(tmp_path / "run", sandbox.results)
    assert experiment.train().code == 1
    log = experiment.log("train_encoder")
    assert "s00 (train) and s11 (test)" in log
    assert not (experiment.folder / "model").exists()
    survived("a test subject whose image is also a training subject's", log.strip()[7:])


@pytest.mark.sample
def test_an_encoder_that_has_seen_the_test_subjects(tmp_path, survived):
    first = user(tmp_path / "first", SPLITS)
    assert first.preprocess().code == 0
    experiment = Experiment(tmp_path / "run", first.results)
    assert experiment.train().code == 0
    encoder = experiment.folder / "model/encoder.pt"
    second = user(tmp_path / "second", SPLITS[::-1])
    assert second.preprocess(pretrained=encoder).code == 0
    line = assert_refused(second.adopt(encoder), "s00, s01, s02")
    assert not (second.results / "model").exists()
    survived("model.pretrained that was trained on the test subjects", line.removeprefix("error: "))
    third = user(tmp_path / "third", SPLITS)
    assert third.preprocess(pretrained=encoder).code == 0
    assert third.adopt(encoder).code == 0
    seen = pd.read_csv(third.results / "model/seen.csv")["subject"].tolist()
    assert seen == [f"s{n:02d}" for n in range(9)]
    survived("model.pretrained that was trained on the training subjects", "it is adopted")


def tables(folder: Path, points: np.ndarray, groups: np.ndarray) -> tuple[Path, Path]:
    """landmarks.csv of (N, M, 2) points and subjects.csv, the last quarter for tests."""
    folder.mkdir()
    n, m, _ = points.shape
    names = [f"s{k:02d}" for k in range(n)]
    affines = np.stack([np.eye(3)] * n)
    table = landmark_table(names, points, range(1, m + 1), (32, 32), affines)
    table.to_csv(folder / "landmarks.csv", index=False)
    splits = ["train"] * (n // 2) + ["validation"] * (n // 4) + ["test"] * (n // 4)
    subjects = pd.DataFrame({"subject": names, "image": "x.png", "split": splits})
    subjects.assign(group=groups).to_csv(folder / "subjects.csv", index=False)
    return folder / "landmarks.csv", folder / "subjects.csv"


def shapes() -> tuple[np.ndarray, np.ndarray]:
    """(60, 5, 2) points and their groups, which differ a little."""
    random = np.random.default_rng(0)
    cases = np.arange(60) % 3 == 0
    points = random.normal(scale=0.1, size=(60, 5, 2)) + random.uniform(-0.6, 0.6, (5, 2))
    points[cases, 0] += 0.1
    return points, np.where(cases, "case", "control")


def test_labels_of_test_subjects_teach_no_classifier(tmp_path, survived):
    points, groups = shapes()
    answers = []
    for name, labels in (("a", groups), ("b", np.r_[groups[:45], np.roll(groups[45:], 1)])):
        files = tables(tmp_path / name, points, labels)
        made = [tmp_path / name / f"{file}.csv" for file in ("table", "numbers", "predictions")]
        classify_subjects(*files, "group", *made, seed=1, repeats=1)
        predicted = pd.read_csv(made[0], keep_default_na=False)["predicted"].tolist()
        assert set(predicted[45:]) == {"case", "control"}
        answers.append(predicted)
    assert answers[0] == answers[1]
    survived("other labels of the test subjects", "the classifier answers as before")


def test_one_test_subject_does_not_score_another(tmp_path, survived):
    points, groups = shapes()
    scores = []
    for name, shift in (("a", 0.0), ("b", 0.4)):
        moved = points.copy()
        moved[59] += shift * np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [1, 1]])
        made = [tmp_path / name / f"{file}.csv" for file in ("table", "numbers")]
        score_severity(*tables(tmp_path / name, moved, groups), "group", "control", *made, seed=1)
        scores.append(pd.read_csv(made[0])["z_unseen"].to_numpy())
    np.testing.assert_array_equal(scores[0][:59], scores[1][:59])
    assert scores[1][59] > scores[0][59]
    survived("another shape of one test subject", "the others' distances from the controls stay")
