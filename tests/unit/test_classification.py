"""The classifier, its cross-validation and the numbers it reports."""

import numpy as np
import pandas as pd
import pytest

from lmcore.analysis.classification import (
    classify_subjects,
    cross_validate,
    predict_test,
    read_truth,
)
from lmcore.analysis.descriptors import Descriptors
from lmcore.analysis.numbers import read_numbers
from lmcore.errors import InputError
from lmcore.points.landmarks import landmark_table

Z = 1.959963984540054


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
    landmark_table(names, points, [1, 4, 7], (9, 5), affines).to_csv(
        folder / "landmarks.csv", index=False
    )
    table = pd.DataFrame({"subject": names, "image": "x.png", "split": splits, "kind": labels})
    table.to_csv(folder / "subjects.csv", index=False)
    return names


def classify(folder, **options):
    output, numbers = folder / "classification.csv", folder / "classification.numbers.csv"
    options = {"seed": 5, "repeats": 2} | options
    classify_subjects(
        folder / "landmarks.csv", folder / "subjects.csv", "kind", output, numbers, **options
    )
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


def test_shuffled_labels_are_answered_at_chance():
    points, group = population([30, 30], separation=12)
    shuffled = np.random.default_rng(2).permutation(group)
    right = cross_validate(points.reshape(60, 6), shuffled, seed=1, hidden=8, folds=5, repeats=3)
    standard_error = np.sqrt(0.5 * 0.5 / 60)
    assert abs(right.mean() - 0.5) < 3 * standard_error


def test_shares_of_cross_validation_are_whole_numbers_of_repeats():
    points, group = population([20, 20], separation=1)
    right = cross_validate(points.reshape(40, 6), group, seed=1, hidden=8, folds=4, repeats=3)
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
    first = predict_test(Descriptors(names, values, labels, splits, names), hidden=8, seed=0)
    unseen = np.isin(splits, ["test", "held_out"])
    turned, moved = labels.copy(), values.copy()
    turned[unseen] = np.where(labels[unseen] == "a", "b", "a")
    moved[splits == "held_out"] += 100
    second = predict_test(Descriptors(names, moved, turned, splits, names), hidden=8, seed=0)
    assert first.tolist() == second.tolist()
    # the labels of train do reach it
    turned = np.where(labels == "a", "b", "a").astype(object)
    third = predict_test(Descriptors(names, values, turned, splits, names), hidden=8, seed=0)
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
