"""The classifier, its cross-validation and the numbers it reports."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from lmcore.analysis.classification import classify_subjects, predict_test
from lmcore.analysis.descriptors import Descriptors
from lmcore.analysis.held_out import cross_validate
from lmcore.analysis.intervals import proportion_interval
from lmcore.analysis.numbers import read_numbers
from lmcore.analysis.perceptron import Perceptron
from lmcore.analysis.truth import read_truth
from lmcore.errors import InputError
from lmcore.particles.table import particle_table, read_aligned
from lmcore.points.landmarks import landmark_table

Z = 1.959963984540054
NARROW = Perceptron((8,))


def population(sizes, separation, seed=0):
    """Descriptors (N, 3, 2) of classes that lie `separation` standard deviations apart."""
    random = np.random.default_rng(seed)
    group = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    points = random.normal(0, 0.05, (len(group), 3, 2))
    points[:, 1, 0] += 0.05 * separation * (group - (len(sizes) - 1) / 2)
    return points, group


def write(folder, points, labels, splits):
    names = [f"s{number:03d}" for number in range(len(points))]
    affines = np.stack([np.eye(3)] * len(points))
    landmark_table(names, points, [*range(1, 3 * points.shape[1], 3)], (9, 5), affines).to_csv(
        folder / "landmarks.csv", index=False
    )
    table = pd.DataFrame({"subject": names, "image": "x.png", "split": splits, "kind": labels})
    table.to_csv(folder / "subjects.csv", index=False)
    return names


def classify(folder, **options):
    output, numbers = folder / "classification.csv", folder / "classification.numbers.csv"
    options = {"seed": 5, "repeats": 2, "hidden_layers": [8], "iterations": 60} | options
    classify_subjects(
        folder / "landmarks.csv", folder / "subjects.csv", "kind", output, numbers,
        folder / "predictions.csv", **options,
    )  # fmt: skip
    table = pd.read_csv(output, dtype=str, keep_default_na=False)
    return table, read_numbers(numbers).set_index("name")


@pytest.fixture
def splits():
    return np.array((["train"] * 7 + ["validation", "test", "held_out"]) * 6)


def test_separate_classes_are_told_apart_without_an_error(tmp_path, splits):
    points, group = population([25, 20, 15], separation=12)
    labels = np.array(["oak", "ash", "elm"])[group]
    write(tmp_path, points, labels, splits)
    table, numbers = classify(tmp_path)
    tested = splits == "test"
    assert table["predicted"][tested].tolist() == labels[tested].tolist()
    assert set(table["predicted"][~tested]) == {""}
    assert set(table["cv_accuracy"]) == {"1"}
    test = numbers.loc["test_accuracy"]
    # Wilson's interval of n out of n in closed form
    assert (test["value"], test["n"], test["ci_high"]) == (1, 6, 1)
    assert test["ci_low"] == pytest.approx(6 / (6 + Z**2), abs=1e-8)
    assert numbers.loc["cv_accuracy", ["value", "ci_low", "ci_high"]].tolist() == [1, 1, 1]
    assert numbers.loc["cv_balanced_accuracy", "value"] == 1
    assert numbers.loc["majority_accuracy", "value"] == pytest.approx(25 / 60, abs=1e-8)
    assert numbers.loc["cv_accuracy", "n"] == 60
    assert "best_possible_accuracy" not in numbers.index


def test_two_scans_of_a_person_are_one_answer(tmp_path):
    """Labels are drawn at random; who has seen one scan knows the other."""
    random = np.random.default_rng(3)
    points = np.repeat(random.normal(0, 0.3, (40, 12, 2)), 2, axis=0)
    labels = np.repeat(random.permutation(["a", "b"] * 20), 2)
    splits = np.repeat((["train"] * 7 + ["validation", "test", "test"]) * 4, 2)
    names = write(tmp_path, points, labels, splits)
    table = pd.read_csv(tmp_path / "subjects.csv").assign(who=np.repeat(np.arange(40), 2))
    table.to_csv(tmp_path / "subjects.csv", index=False)
    particles = write_particles(tmp_path, names, np.pad(points, ((0, 0), (0, 0), (0, 1))))
    settings = {"repeats": 1, "particles": particles}
    _, torn = classify(tmp_path, **settings)
    table, numbers = classify(tmp_path, person_column="who", **settings)
    for name in ("cv_accuracy", "landmark_accuracy", "particle_accuracy"):
        # four of five are held out without their other scan, which the classifier has learned
        assert torn.loc[name, "value"] > 0.7
        assert numbers.loc[name, "value"] < 0.5 + 3 * 0.08
    assert table["person"].nunique() == 40
    test = numbers.loc["test_accuracy"]
    assert test["n"] == 16
    right = round(8 * test["value"])
    assert (test["ci_low"], test["ci_high"]) == pytest.approx(proportion_interval(right, 8))
    for name in ("cv_accuracy", "cv_balanced_accuracy"):
        row = numbers.loc[name]
        # the width of forty independent answers, 0.31, and not that of eighty
        assert 0.26 < row["ci_high"] - row["ci_low"] < 0.36


def test_shuffled_labels_are_answered_at_chance():
    points, group = population([30, 30], separation=12)
    shuffled = np.random.default_rng(2).permutation(group)
    values, persons = points.reshape(60, 6), np.arange(60)
    found = cross_validate(values, shuffled, persons, 1, NARROW, folds=5, repeats=3)
    standard_error = np.sqrt(0.5 * 0.5 / 60)
    assert abs(found.right.mean() - 0.5) < 3 * standard_error


def test_shares_of_cross_validation_are_whole_numbers_of_repeats():
    points, group = population([20, 20], separation=1)
    values, persons = points.reshape(40, 6), np.arange(40)
    right = cross_validate(values, group, persons, 1, NARROW, folds=4, repeats=3).right
    assert set(np.round(right * 3, 9)) <= {0, 1, 2, 3}
    assert 0.5 < right.mean() < 1


def test_numbers_follow_from_the_table(tmp_path, splits):
    points, group = population([40, 12, 8], separation=1.5)
    labels = np.array(["oak", "ash", "elm"])[group]
    write(tmp_path, points, labels, splits)
    table, numbers = classify(tmp_path)
    shares = table["cv_accuracy"].astype(float)
    assert numbers.loc["cv_accuracy", "value"] == pytest.approx(shares.mean(), abs=1e-8)
    balanced = shares.groupby(table["class"]).mean().mean()
    assert numbers.loc["cv_balanced_accuracy", "value"] == pytest.approx(balanced, abs=1e-8)
    tested = table[table["split"] == "test"]
    assert numbers.loc["test_accuracy", "value"] == pytest.approx(
        (tested["predicted"] == tested["class"]).mean(), abs=1e-8
    )
    for name in ("cv_accuracy", "cv_balanced_accuracy", "test_accuracy"):
        row = numbers.loc[name]
        assert row["ci_low"] < row["value"] < row["ci_high"]


def test_test_and_held_out_labels_do_not_reach_the_fit(splits):
    points, group = population([30, 30], separation=1)
    names = np.array([f"s{number}" for number in range(60)], dtype=object)
    labels = np.array(["a", "b"], dtype=object)[group]
    values = points.reshape(60, 6)
    first = predict_test(Descriptors(names, values, labels, splits, names), NARROW, seed=0)
    unseen = np.isin(splits, ["test", "held_out"])
    turned, moved = labels.copy(), values.copy()
    turned[unseen] = np.where(labels[unseen] == "a", "b", "a")
    moved[splits == "held_out"] += 100
    second = predict_test(Descriptors(names, moved, turned, splits, names), NARROW, seed=0)
    assert first.tolist() == second.tolist()
    # the labels of train do reach it
    turned = np.where(labels == "a", "b", "a").astype(object)
    third = predict_test(Descriptors(names, values, turned, splits, names), NARROW, seed=0)
    assert (third[splits == "test"] != first[splits == "test"]).any()


def test_no_test_accuracy_without_a_test_split_or_with_one_class_in_train(tmp_path):
    points, group = population([10, 10], separation=12)
    labels = np.array(["a", "b"])[group]
    for splits in (["train"] * 20, np.where(group == 0, "train", "held_out"),
                   np.where(group == 0, "train", "test")):  # fmt: skip
        write(tmp_path, points, labels, splits)
        table, numbers = classify(tmp_path)
        assert "test_accuracy" not in numbers.index
        assert set(table["predicted"]) == {""}
        assert numbers.loc["cv_accuracy", "value"] == 1


def test_truth_gives_the_best_possible_accuracy(tmp_path, splits):
    points, group = population([30, 30], separation=0)
    names = write(tmp_path, points, np.array(["a", "b"])[group], splits)
    parameters = pd.DataFrame({"subject": names, "width": 40.0 * group, "note": "text"})
    parameters.sample(frac=1, random_state=0).to_csv(tmp_path / "truth.csv", index=False)
    _, numbers = classify(tmp_path, truth=tmp_path / "truth.csv")
    best = numbers.loc["best_possible_accuracy"]
    assert (best["value"], best["ci_low"], best["n"]) == (1, 1, 60)
    assert numbers.loc["cv_accuracy", "ci_high"] < 0.8


def test_truth_is_read_in_the_order_of_the_subjects(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text("subject,b,name,a\n002,5,x,1\n001,6,y,2\n003,7,z,\n")
    order = np.array(["001", "002"], dtype=object)
    assert read_truth(path, order, None).tolist() == [[6, 2], [5, 1]]
    assert read_truth(path, order, ["a"]).tolist() == [[2], [1]]
    for subjects, columns, message in (
        (["009"], None, "no subject '009'"),
        (["001"], ["c"], "no column c"),
        (["003"], ["b", "a"], "subject '003' has no number in column 'a'"),
        (["001"], ["name"], "subject '001' has no number in column 'name'"),
    ):
        with pytest.raises(InputError, match=message):
            read_truth(path, np.array(subjects, dtype=object), columns)


def test_a_class_smaller_than_the_folds_is_named(tmp_path):
    points, group = population([12, 4], separation=2)
    write(tmp_path, points, np.array(["oak", "elm"])[group], ["train"] * 16)
    with pytest.raises(InputError, match="class 'elm' has 4 subjects, fewer than the 5 folds"):
        classify(tmp_path)
    assert not (tmp_path / "classification.csv").exists()
    classify(tmp_path, folds=4)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path, splits):
    points, group = population([30, 30], separation=1)
    write(tmp_path, points, group, splits)
    runs = []
    for seed in (5, 5, 6):
        classify(tmp_path, seed=seed)
        runs.append((tmp_path / "classification.csv").read_bytes())
    assert runs[0] == runs[1] != runs[2]


def write_particles(folder, names, points):
    """particles.csv of (N, 8, 3) aligned points; where they lie in the scans says nothing."""
    random, affines = np.random.default_rng(8), np.stack([np.eye(4)] * len(names))
    anywhere = random.normal(size=points.shape)
    table = particle_table(names, anywhere, points, (9, 7, 5), 1.0, affines)
    # subjects in another order
    table.iloc[::-1].sort_values("landmark", kind="stable").to_csv(
        folder / "particles.csv", index=False
    )
    return folder / "particles.csv"


@pytest.fixture
def compared(tmp_path):
    """40 subjects whose landmarks tell the class and whose particles do not."""
    points, group = population([22, 18], separation=3)
    labels = np.array(["no", "yes"])[group]
    names = write(tmp_path, points, labels, (["train"] * 6 + ["test", "validation"]) * 5)
    particles = np.random.default_rng(3).normal(size=(40, 8, 3))
    return tmp_path, names, labels, particles


def test_landmarks_and_particles_are_compared_on_the_same_splits(compared):
    folder, names, labels, particles = compared
    path = write_particles(folder, names, particles)
    subjects, aligned = read_aligned(path)
    order = [subjects.index(name) for name in names]
    centre = (np.array([5, 7, 9]) - 1) / 2
    np.testing.assert_allclose(aligned[order], particles - centre, atol=1e-12)
    _, numbers = classify(
        folder, particles=path, repeats=3, hidden_layers=[6, 6, 6], iterations=[3, 8]
    )
    answers = pd.read_csv(folder / "predictions.csv")
    keyed = answers.set_index(["descriptor", "repeat", "subject"])
    pair = [keyed.loc[name] for name in ("landmarks", "particles")]
    pd.testing.assert_series_equal(pair[0]["fold"], pair[1]["fold"])
    assert ((answers["probability"] > 0.5) == (answers["predicted"] == "yes")).all()
    # every number again, from the answers alone
    scores = {}
    for (name, repeat, fold), part in answers.groupby(["descriptor", "repeat", "fold"]):
        right = part["predicted"] == part["class"]
        scores[name, repeat, fold] = {
            "accuracy": right.mean(),
            "balanced_accuracy": right.groupby(part["class"]).mean().mean(),
            "auc": roc_auc_score(part["class"] == "yes", part["probability"]),
        }
    table = pd.DataFrame(scores).T
    for measure in ("accuracy", "balanced_accuracy", "auc"):
        ours, theirs = (table.loc[name, measure].unstack() for name in ("landmarks", "particles"))
        for label, values in (
            ("landmark", ours), ("particle", theirs), ("landmark_minus_particle", ours - theirs)
        ):  # fmt: skip
            row = numbers.loc[f"{label}_{measure}"]
            assert row["value"] == pytest.approx(values.to_numpy().mean(), abs=1e-8)
            assert row["ci_low"] < row["value"] < row["ci_high"]
            assert 0 <= row["ci_low"] < row["ci_high"] <= 1 or "minus" in label
            spread = numbers.loc[f"{label}_{measure}_sd", "value"]
            assert spread == pytest.approx(values.mean(axis=1).std(), abs=1e-8)
    assert numbers.loc["landmark_minus_particle_auc", "ci_low"] > 0
    assert numbers.loc["landmark_accuracy", "value"] == pytest.approx(
        numbers.loc["cv_accuracy", "value"]
    )
    assert numbers.loc["cv_auc", "value"] == numbers.loc["landmark_auc", "value"]


def test_subjects_without_particles_take_no_part_in_the_comparison(compared, caplog):
    folder, names, _, particles = compared
    path = write_particles(folder, names[3:], particles[3:])
    with caplog.at_level("WARNING", logger="lmcore"):
        _, numbers = classify(folder, particles=path)
    assert "3 subjects without particles take no part" in caplog.text
    assert "s000, s001, s002" in caplog.text
    assert numbers.loc["cv_accuracy", "n"] == 40
    assert set(numbers.loc[["landmark_auc", "particle_auc"], "n"]) == {37}
    answers = pd.read_csv(folder / "predictions.csv")
    assert answers.groupby("descriptor")["subject"].nunique().tolist() == [37, 37]
    path = write_particles(folder, names[:6], particles[:6])
    _, numbers = classify(folder, particles=path)
    assert "have particles, fewer than the 5 folds" in caplog.text
    assert "cv_auc" in numbers.index
    assert "particle_auc" not in numbers.index


def test_the_true_probability_is_scored_as_it_is(compared):
    folder, names, labels, _ = compared
    random = np.random.default_rng(1)
    truth = pd.DataFrame({"subject": names, "width": random.normal(size=40)})
    truth["chance"] = np.clip(0.5 + 0.3 * (labels == "yes") - 0.6 * random.random(40), 0, 1)
    truth.to_csv(folder / "truth.csv", index=False)
    _, numbers = classify(
        folder, truth=folder / "truth.csv", truth_columns=["width"], truth_probability="chance"
    )
    said = truth["chance"] > 0.5
    right = said == (labels == "yes")
    assert numbers.loc["true_probability_accuracy", "value"] == pytest.approx(right.mean())
    balanced = right.groupby(labels).mean().mean()
    assert numbers.loc["true_probability_balanced_accuracy", "value"] == pytest.approx(balanced)
    area = roc_auc_score(labels == "yes", truth["chance"])
    assert numbers.loc["true_probability_auc", "value"] == pytest.approx(area)
    # and the classifier from parameters that say nothing
    assert numbers.loc["best_possible_auc", "ci_low"] < 0.5
