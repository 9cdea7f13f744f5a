"""Labels that say nothing

Landmarks of 60 subjects of two kinds, with labels that are shuffled and so tell nothing of them:
200 times, 20 with the perceptron. Accuracy, area, agreement and correlation are within three
standard errors of chance; p-values of permutation tests are uniform, by a test of Kolmogorov and
Smirnov at the same level (0.0027); what is found at 5 % is found in 5 %, and intervals of 95 %
hold chance in 95 %, within three standard errors of 200 tries.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from lmcore.analysis import clustering
from lmcore.analysis.classification import classify_subjects
from lmcore.analysis.descriptors import Descriptors
from lmcore.analysis.group_difference import permutation_p_values, score_groups
from lmcore.analysis.numbers import read_numbers
from lmcore.analysis.severity import score_severity
from lmcore.analysis.two_groups import Groups
from lmcore.points.landmarks import landmark_table

SHUFFLES, PERCEPTRONS = 200, 20
SUBJECTS, CASES = 60, 24
NAMES = np.array([f"s{number:02d}" for number in range(SUBJECTS)], dtype=object)
SPLITS = np.array(["train"] * 30 + ["validation"] * 10 + ["test"] * 20, dtype=object)
THREE_SIGMA = 0.0027


@pytest.fixture(scope="module")
def points():
    """(60, 6, 3) landmarks in mm, of two kinds of shape in unequal number."""
    random = np.random.default_rng(0)
    kind = np.arange(SUBJECTS) % 3 == 0
    found = random.normal(size=(SUBJECTS, 6, 3)) + random.uniform(-30, 30, (6, 3))
    found[kind, 0] += 3
    return found


@pytest.fixture
def landmarks(tmp_path, points):
    """The same as a table; (60, 2, d) in [-1, 1] would do as well."""
    affines = np.stack([np.eye(4)] * SUBJECTS)
    table = landmark_table(NAMES, points / 40, range(1, 7), (32, 32, 32), affines)
    table.to_csv(tmp_path / "landmarks.csv", index=False)
    return tmp_path / "landmarks.csv"


def shuffled(seed: int, first: int = SUBJECTS // 2) -> np.ndarray:
    """(60,) labels, `first` of them a, in an order that the seed draws."""
    labels = np.array(["a"] * first + ["b"] * (SUBJECTS - first), dtype=object)
    return np.random.default_rng(1000 + seed).permutation(labels)


def write_subjects(folder: Path, labels: np.ndarray) -> Path:
    table = {"subject": NAMES, "image": "x.nii", "split": SPLITS, "group": labels}
    pd.DataFrame(table).to_csv(folder / "subjects.csv", index=False)
    return folder / "subjects.csv"


def numbers(path: Path) -> pd.DataFrame:
    return read_numbers(path).set_index("name")


def at_chance(values: list[float], chance: float) -> str:
    """Mean and standard error of independent values, which have to hold chance."""
    mean, error = np.mean(values), np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(mean - chance) <= 3 * error, (mean, error)
    return f"{mean:.3f} ± {error:.3f} where chance is {chance:g}"


def as_often(events: list[bool], share: float) -> str:
    """How often something came true, which has to be as often as is said."""
    found, error = np.mean(events), np.sqrt(share * (1 - share) / len(events))
    assert abs(found - share) <= 3 * error, found
    return f"{found:.1%} where {share:.0%} is said"


def uniform(p_values: list[float]) -> str:
    test = kstest(p_values, "uniform")
    assert test.pvalue > THREE_SIGMA, test
    return f"uniform (Kolmogorov-Smirnov p {test.pvalue:.2f})"


def classified(tmp_path, landmarks, tries: int, **settings: object) -> list[pd.DataFrame]:
    found = []
    for seed in range(tries):
        made = [tmp_path / f"{name}.csv" for name in ("table", "numbers", "predictions")]
        subjects = write_subjects(tmp_path, shuffled(seed))
        classify_subjects(landmarks, subjects, "group", *made, seed=seed, repeats=1, **settings)
        found.append(numbers(made[1])["value"])
    return found


@pytest.mark.parametrize(
    ("what", "tries", "settings"),
    [
        ("a linear classifier", SHUFFLES, {"hidden_layers": ()}),
        ("the perceptron", PERCEPTRONS, {}),
        ("the perceptron of three layers", PERCEPTRONS, {"hidden_layers": (16, 16, 16),
                                                         "iterations": (5, 15)}),
    ],
)  # fmt: skip
def test_classification(tmp_path, landmarks, what, tries, settings, survived):
    found = classified(tmp_path, landmarks, tries, **settings)
    for name in ("test_accuracy", "cv_accuracy", "cv_balanced_accuracy", "cv_auc"):
        survived(f"classification by {what}: {name}", at_chance([row[name] for row in found], 0.5))


def test_clustering(points, monkeypatch, survived):
    """The clusters know no labels: they are found once."""
    monkeypatch.setattr(clustering, "bootstrap_interval", lambda *_: (0.0, 0.0))
    found = clustering.spectral_clusters(points.reshape(SUBJECTS, -1), 3, seed=1)
    assert len(set(found)) == 3
    indices, p_values = [], []
    for seed in range(SHUFFLES):
        labels = shuffled(seed, first=22)
        numbered = clustering.number_clusters(found, labels)
        indices.append(clustering.adjusted_rand_index(labels, numbered))
        p_values.append(clustering._uncertainty(labels, numbered, indices[-1], seed)[1])
    survived("clustering: adjusted Rand index", at_chance(indices, 0.0))
    survived("clustering: p of its permutation test", uniform(p_values))


def test_severity(tmp_path, landmarks, survived):
    """And its agreement with ratings, which are shuffled as well."""
    found = []
    for seed in range(SHUFFLES):
        labels = shuffled(seed, first=SUBJECTS - CASES)
        random = np.random.default_rng(seed)
        sheet = pd.DataFrame({"subject": NAMES, "rater": 1, "score": random.normal(size=SUBJECTS)})
        sheet.to_csv(tmp_path / "ratings.csv", index=False)
        score_severity(
            landmarks,
            write_subjects(tmp_path, labels),
            "group",
            "a",
            tmp_path / "table.csv",
            tmp_path / "numbers.csv",
            seed,
            ratings=tmp_path / "ratings.csv",
        )
        found.append(numbers(tmp_path / "numbers.csv"))
    for name in ("z_auc", "z_auc_unseen"):
        values = [table.loc[name, "value"] for table in found]
        survived(f"severity: {name}", at_chance(values, 0.5))
        inside = [table.loc[name, "ci_low"] <= 0.5 <= table.loc[name, "ci_high"] for table in found]
        survived(f"severity: interval of {name}", as_often(inside, 0.95))
    either = [
        min(table.loc["z_auc_p", "value"], table.loc["z_auc_unseen_p", "value"]) < 0.05
        for table in found
    ]
    assert np.mean(either) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / SHUFFLES)
    survived("severity: either p, corrected by Holm, below 0.05", f"{np.mean(either):.1%}")
    for name in ("z_rating_pearson", "z_rating_spearman"):
        survived(f"severity: {name}", at_chance([t.loc[name, "value"] for t in found], 0.0))
        inside = [table.loc[name, "ci_low"] <= 0 <= table.loc[name, "ci_high"] for table in found]
        survived(f"severity: interval of {name}", as_often(inside, 0.95))


@pytest.mark.sample
def test_group_difference(points, survived):
    """Distances of the groups, and the test at every point of a surface."""
    areas, inside, p_values, at_points = [], [], [], []
    for seed in range(SHUFFLES):
        labels = shuffled(seed, first=SUBJECTS - CASES)
        data = Descriptors(NAMES, points.reshape(SUBJECTS, -1), labels, SPLITS, NAMES)
        rows = {row["name"]: row for row in score_groups(Groups.of(data, points, "a"))[1]}
        area = rows["mahalanobis_auc"]
        areas.append(area["value"])
        inside.append(area["ci_low"] <= 0.5 <= area["ci_high"])
        p_values.append(rows["mahalanobis_auc_p"]["value"])
        at_points.append(permutation_p_values(points[:, :, 0], labels == "b", seed, 999))
    survived("group difference: mahalanobis_auc", at_chance(areas, 0.5))
    survived("group difference: its interval", as_often(inside, 0.95))
    survived("group difference: its p below 0.05", as_often([p < 0.05 for p in p_values], 0.05))
    for point in (0, 3):
        p_of_point = [p_values[point] for p_values in at_points]
        survived(f"group difference: p of the permutation test, point {point}", uniform(p_of_point))
