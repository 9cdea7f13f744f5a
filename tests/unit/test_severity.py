"""The analysis of severity, from tables to tables; the raters' sheet; the pairs of Fig. 4."""

import h5py
import numpy as np
import pandas as pd
import pytest
from real_data import real_data
from scipy.stats import pearsonr, spearmanr

from lmcore.analysis.descriptors import read_shapes
from lmcore.analysis.mahalanobis import Estimator, cross_fit
from lmcore.analysis.numbers import read_numbers
from lmcore.analysis.overlap import dice, hd95
from lmcore.analysis.ratings import read_mean_ratings
from lmcore.analysis.registration_examples import (
    register_groups,
    typical_pairs,
    write_pair_examples,
)
from lmcore.analysis.separation import auc
from lmcore.analysis.severity import score_severity
from lmcore.errors import InputError
from lmcore.particles.shapeworks import read_particles
from lmcore.points.landmarks import landmark_table
from lmcore.population.store import Record, write_population

SHAPE, SPACING = (9, 11, 7), 2.0  # z, y, x
CONTROLS, CASES = 24, 8


@pytest.fixture
def skulls(tmp_path):
    """Tables of 24 controls and 8 cases, of which one coordinate tells the severity."""
    random = np.random.default_rng(4)
    n = CONTROLS + CASES
    severity = np.concatenate([np.zeros(CONTROLS), np.linspace(0.2, 1, CASES)])
    points = np.linspace(-0.8, 0.8, 15).reshape(5, 3) + 0.02 * random.standard_normal((n, 5, 3))
    points[:, 2, 1] += 0.4 * severity
    particles = np.repeat(points, 2, axis=1) + 0.02 * random.standard_normal((n, 10, 3))
    names = [f"s{k:02d}" for k in random.permutation(n)]
    affines = np.stack([np.diag([-3.0, 3.0, 3.0, 1.0])] * n)  # mirrored scans, of other voxels
    affines[:, :3, 3] = random.uniform(-50, 50, (n, 3))
    images = np.zeros((1, *SHAPE), np.float32)
    records = (Record(images, affine, SHAPE) for affine in affines)
    write_population(tmp_path / "population.h5", names, SHAPE, 1, {}, records, spacing=SPACING)
    for name, values in (("landmarks", points), ("particles", particles)):
        table = landmark_table(names, values, range(1, values.shape[1] + 1), SHAPE, affines)
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    splits = ["train"] * 16 + ["validation"] * 3 + ["test"] * 5 + ["held_out"] * CASES
    groups = ["control"] * CONTROLS + ["metopic"] * CASES
    table = {"subject": names, "image": "x", "split": splits, "group": groups}
    pd.DataFrame(table).to_csv(tmp_path / "subjects.csv", index=False)
    truth = pd.DataFrame({"subject": names, "severity": severity})
    truth["frontal"] = severity + 0.1 * random.standard_normal(n)
    truth["height"] = 50 + 3 * random.standard_normal(n)
    truth.to_csv(tmp_path / "truth.csv", index=False)
    rows = [
        (name, f"R{k}", round(5 * s + k - 1))
        for name, s in zip(names, severity, strict=True)
        if s
        for k in range(3)
    ]
    columns = ["subject", "rater", "score"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "ratings.csv", index=False)
    return tmp_path, points, severity


def score(folder, **options):
    options = {"population": folder / "population.h5", "control": "control"} | options
    score_severity(
        landmarks=folder / "landmarks.csv",
        subjects=folder / "subjects.csv",
        class_column="group",
        output=folder / "severity.csv",
        numbers=folder / "numbers.csv",
        seed=3,
        **options,
    )
    table = pd.read_csv(folder / "severity.csv", dtype={"subject": str})
    return table, read_numbers(folder / "numbers.csv").set_index("name")


def everything(folder):
    return {
        "particles": folder / "particles.csv",
        "ratings": folder / "ratings.csv",
        "truth": folder / "truth.csv",
        "truth_columns": ("frontal", "height"),
    }


def test_every_number_is_that_of_the_table(skulls):
    folder, _, severity = skulls
    table, numbers = score(folder, **everything(folder))
    control, case = (table["group"] == group for group in ("control", "metopic"))
    assert numbers.loc["z_auc", "value"] > 0.9
    unseen = auc(table["z_unseen"][control].dropna(), table["z_unseen"][case])
    assert numbers.loc["z_auc_unseen", ["value", "n"]].tolist() == [pytest.approx(unseen), 13]
    assert numbers.loc["z_auc_unseen", "ci_low"] < numbers.loc["z_auc", "ci_low"]
    assert set(table["split"][table["z_unseen"].notna()]) == {"test", "held_out"}
    for name, x, y, n in (
        ("z_particles", "z", "z_particles", 32),
        ("z_rating", "z", "rating", 8),
        ("particles_rating", "z_particles", "rating", 8),
        ("z_truth", "z", "severity", 32),
    ):
        both = table[[x, y]].dropna()
        assert len(both) == n
        for kind, correlation in (("pearson", pearsonr), ("spearman", spearmanr)):
            row = numbers.loc[f"{name}_{kind}"]
            assert row["value"] == pytest.approx(correlation(both[x], both[y])[0], abs=1e-7)
            assert row["n"] == n
            assert row["ci_low"] <= row["value"] <= row["ci_high"]
    best = spearmanr(table["z_truth"], severity)[0]
    assert numbers.loc["z_truth_best", "value"] == pytest.approx(best)
    share = numbers.loc["z_truth_spearman", "value"] / best
    assert numbers.loc["z_truth_share", "value"] == pytest.approx(share)
    np.testing.assert_allclose(table["rating"].dropna(), [1, 2, 2, 3, 3, 4, 4, 5], atol=0.34)


def test_shapes_are_millimetres_on_the_grid_whatever_the_scans(skulls):
    folder, points, _ = skulls
    names = pd.read_csv(folder / "subjects.csv")["subject"].tolist()
    shapes = read_shapes(folder / "landmarks.csv", [*names, "nobody"], folder / "population.h5")
    expected = (points + 1) / 2 * (np.array(SHAPE[::-1]) - 1) * SPACING
    np.testing.assert_allclose(shapes[:-1], expected, atol=1e-7)
    assert np.isnan(shapes[-1]).all()
    table, _ = score(folder)
    fit = cross_fit(expected, np.arange(32) < CONTROLS, Estimator(), "x")
    np.testing.assert_allclose(table["z"], fit.scores(np.arange(32) < CONTROLS), rtol=1e-6)
    _, plain = score(folder, align="none", share=0.5)
    fit = cross_fit(expected, np.arange(32) < CONTROLS, Estimator(0.5, False), "x")
    assert plain.loc["z_auc", "value"] == pytest.approx(auc(fit.controls, fit.others))


def test_the_papers_version_is_labelled_where_it_is_degenerate(skulls, caplog):
    folder, _, _ = skulls
    table, numbers = score(folder)  # 15 coordinates, 24 controls: not degenerate
    assert numbers.loc["z_in_sample_paper_spread", "value"] > 0.05
    table = pd.read_csv(folder / "landmarks.csv")
    more = table.assign(landmark=table["landmark"] + 5)
    more[["x", "y", "z"]] += 0.01 * np.random.default_rng(0).standard_normal((len(more), 3))
    pd.concat([table, more]).to_csv(folder / "landmarks.csv", index=False)
    table, numbers = score(folder)
    controls = table["group"] == "control"
    np.testing.assert_allclose(table["z_in_sample"][controls], 23 / np.sqrt(24), rtol=1e-6)
    assert numbers.loc["z_in_sample_paper_spread", "value"] == pytest.approx(0, abs=1e-9)
    assert numbers.loc["z_auc_in_sample_paper", "value"] == 1
    assert np.isnan(numbers.loc["z_auc_in_sample_paper", "ci_low"])
    assert "says nothing" in caplog.text


def test_who_lacks_particles_is_left_out_of_their_numbers(skulls):
    folder, _, _ = skulls
    table = pd.read_csv(folder / "particles.csv")
    lacking = pd.read_csv(folder / "subjects.csv")["subject"].iloc[[0, 30]]
    table[~table["subject"].isin(lacking)].to_csv(folder / "particles.csv", index=False)
    table, numbers = score(folder, particles=folder / "particles.csv")
    assert table["z_particles"].isna().to_numpy().nonzero()[0].tolist() == [0, 30]
    assert table["z"].notna().all()
    assert numbers.loc["z_particles_pearson", "n"] == 30
    assert numbers.loc["particles_auc", "n"] == 30


def test_nobody_is_unseen_of_whom_the_encoder_has_seen(skulls):
    folder, *_ = skulls
    table, numbers = score(folder, trained_on="all")
    assert "z_auc_unseen" not in numbers.index
    assert table["z_unseen"].isna().all()
    # of cross-fitted encoders a fold of the controls is unseen, whatever the split
    folds = [
        score(folder, trained_on={"fold": fold, "folds": 3})[0].set_index("subject")["z_unseen"]
        for fold in range(3)
    ]
    controls = pd.read_csv(folder / "subjects.csv").query("group == 'control'")["subject"]
    assert [fold[controls].notna().sum() for fold in folds] == [8, 8, 8]
    assert (sum(fold[controls].notna() for fold in folds) == 1).all()
    assert all(fold.drop(controls).notna().all() for fold in folds)


def test_the_same_bytes_again(skulls):
    folder, _, _ = skulls
    score(folder, **everything(folder))
    first = [(folder / name).read_bytes() for name in ("severity.csv", "numbers.csv")]
    score(folder, **everything(folder))
    assert first == [(folder / name).read_bytes() for name in ("severity.csv", "numbers.csv")]


def test_errors_of_the_user_are_one_line(skulls):
    folder, _, _ = skulls
    with pytest.raises(InputError, match="0 control subjects .population.control."):
        score(folder, control="normal")
    with pytest.raises(InputError, match="no person column 'patient'"):
        score(folder, person_column="patient")
    table = pd.read_csv(folder / "landmarks.csv")
    table[["x", "y", "z"]] = 0.5
    table.to_csv(folder / "landmarks.csv", index=False)
    with pytest.raises(InputError, match="landmarks of the controls: .* do not vary"):
        score(folder)


def test_a_sheet_of_raters(tmp_path):
    path = tmp_path / "sheet.csv"

    def sheet(*rows):
        path.write_text("subject,rater,score\n" + "\n".join(rows) + "\n")
        return read_mean_ratings(path, ["b", "a", "NA"])

    np.testing.assert_array_equal(
        sheet("a,R1,4", "NA,R1,2.5", "a,R2,1"), [np.nan, 2.5, 2.5]
    )  # b was not rated
    for rows, message in (
        (["c,R1,4"], "'c' is no subject"),
        (["a,R1,4", "a,R1,4"], "score of a by R1 stands there twice"),
        (["a,R1,high"], "score of a by R1 is no number"),
    ):
        with pytest.raises(InputError, match=message):
            sheet(*rows)
    path.write_text("subject,score\na,1\n")
    with pytest.raises(InputError, match="no column rater"):
        read_mean_ratings(path, ["a"])
    with pytest.raises(InputError, match="population.ratings"):
        read_mean_ratings(tmp_path / "none.csv", ["a"])


def test_nothing_separates_the_real_femurs(tmp_path):
    """Given landmarks: both femurs of 17 people, one of two, and one each of 13 others."""
    folder = real_data("shapeworks_particles/femur_cut")
    names, points = read_particles(folder)
    affines = np.stack([np.eye(4)] * len(names))
    affines[:, :3, 3] = -1  # of a grid of three voxels a side: world mm are the coordinates
    table = landmark_table(names, points, range(1, 513), (3, 3, 3), affines)
    table.to_csv(tmp_path / "landmarks.csv", index=False)
    people = {"person": [name[:3] for name in names], "group": [name[0] for name in names]}
    subjects = pd.DataFrame({"subject": names, "image": "x", "split": "held_out"} | people)
    subjects.to_csv(tmp_path / "subjects.csv", index=False)
    table, numbers = score(tmp_path, population=None, control="n", person_column="person")
    area = numbers.loc["z_auc"]
    assert 0.35 < area["value"] < 0.65
    assert area["ci_low"] < 0.5 < area["ci_high"]
    assert numbers.loc["z_auc_p", "value"] > 0.2
    # as the paper does it the same femurs are told apart without an error
    assert numbers.loc["z_auc_in_sample_paper", "value"] == 1
    assert numbers.loc["z_in_sample_paper_spread", "value"] < 1e-9
    np.testing.assert_allclose(
        table["z_in_sample"][table["group"] == "n"], 35 / np.sqrt(36), rtol=1e-6
    )
    # and so they are if a person's other femur stays in the model
    _, alone = score(tmp_path, population=None, control="n")
    assert alone.loc["z_auc", "value"] > 0.9


def boxes_to(ends):
    """Segmentations (n, *SHAPE) of boxes from x = 1 to each end."""
    z, y, x = np.mgrid[tuple(slice(0, size) for size in SHAPE)]
    inside = [(abs(z - 4) <= 2) & (abs(y - 5) <= 3) & (x >= 1) & (x <= end) for end in ends]
    return np.array(inside, dtype=np.uint8)


@pytest.fixture
def boxes(tmp_path):
    """Five volumes whose box ends at another x, and landmarks that follow the end."""
    names, ends = ["a", "b", "c", "d", "e"], np.array([2, 3, 4, 3, 5])
    areas = boxes_to(ends)
    records = (
        Record(area[None].astype(np.float32), np.diag([2.0, 2, 2, 1]), SHAPE,
               segmentation=area, distance_transform=np.zeros(SHAPE, np.float32))
        for area in areas
    )  # fmt: skip
    write_population(
        tmp_path / "population.h5", names, SHAPE, 1, {}, records, spacing=SPACING, segmented=True
    )
    fixed = np.array([[1, 2, 2], [1, 8, 6], [1, 2, 6], [1, 8, 2.0]])
    moving = [np.concatenate([fixed, fixed * (0, 1, 1) + (end, 0, 0)]) for end in ends]
    points = np.array(moving) / (np.array(SHAPE[::-1]) - 1) * 2 - 1
    affines = np.stack([np.eye(4)] * 5)
    for name, kept in (("all", range(8)), ("retained", (0, 4, 7))):
        kept = list(kept)
        table = landmark_table(names, points[:, kept], [k + 1 for k in kept], SHAPE, affines)
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    severity = {"subject": names, "group": ["x", "n", "x", "n", "x"], "z": [3.0, 9, 1, 2, 2]}
    severity["split"] = ["held_out", "train", "held_out", "test", "held_out"]
    pd.DataFrame(severity).to_csv(tmp_path / "severity.csv", index=False)
    return tmp_path, areas


def test_pairs_are_chosen_by_distance_not_by_registration(boxes):
    folder, _ = boxes
    table = pd.read_csv(folder / "severity.csv")
    # the median case e, the nearest c and not a, which is as near but later; d alone is unseen
    assert typical_pairs(table, "z", "n") == [("e", "c"), ("e", "d")]
    seen = table.assign(split="train")
    assert typical_pairs(seen, "z", "n")[1] == ("e", "b")
    # an unseen case goes before the median one, and the nearest by the score before the next
    of_a = seen.assign(split=["test", *["train"] * 4], far=[3.0, 9, 1, 2, 3.5])
    assert typical_pairs(of_a, "far", "n") == [("a", "e"), ("a", "b")]
    with pytest.raises(InputError, match="1 cases and 2 controls"):
        typical_pairs(table.drop([0, 2]), "z", "n")


def test_a_case_is_registered_to_a_case_and_to_a_control(boxes):
    folder, areas = boxes
    register_groups(
        folder / "population.h5", folder / "severity.csv", "z", folder / "all.csv",
        folder / "retained.csv", "n", "thin_plate", folder / "pairs.h5", folder / "pairs.csv",
    )  # fmt: skip
    numbers = read_numbers(folder / "pairs.csv").set_index("name")
    with h5py.File(folder / "pairs.h5") as file:
        pairs = {name: file[name][()] for name in file}
    assert pairs["source_subjects"].tolist() == [b"e", b"e"]
    assert pairs["target_subjects"].tolist() == [b"c", b"d"]
    assert pairs["spacing"].tolist() == [2.0, 2.0]
    np.testing.assert_array_equal(pairs["affine"], np.full((2, 2, 4, 4), np.diag([2.0, 2, 2, 1])))
    assert pairs["retained"].tolist() == [True, False, False, False, True, False, False, True]
    np.testing.assert_array_equal(pairs["target_segmentation"], areas[[2, 3]])
    for k, (target, who) in enumerate(((2, "case"), (3, "control"))):
        moved = pairs["registered_segmentation"][k] >= 0.5
        assert dice(moved, areas[target]) > 0.95 > dice(areas[4], areas[target])
        for when, shape in (("before", areas[4]), ("after", moved)):
            at = f"case_to_{who}_{when}"
            expected = dice(areas[target], shape), hd95(areas[target], shape, SPACING)
            assert numbers.loc[f"dice_{at}", "value"] == pytest.approx(expected[0])
            assert numbers.loc[f"hd95_{at}", "value"] == pytest.approx(expected[1])
    assert numbers.loc["hd95_case_to_case_after", "unit"] == "mm"
    # T carries the target's landmarks to the source's: the end of the box, x 3 to 5
    np.testing.assert_allclose(
        (pairs["grid_points"][1][6, 8, 3] + 1) / 2 * (np.array(SHAPE[::-1]) - 1),
        (5, 8, 6),
        atol=1e-4,
    )


def test_pairs_that_cannot_be_registered_are_said(boxes):
    folder, _ = boxes
    tables = [folder / "population.h5", folder / "all.csv", folder / "retained.csv", "thin_plate"]
    with pytest.raises(InputError, match="no subject 'z'"):
        write_pair_examples(*tables, [("a", "z")], folder / "out.h5")
    table = pd.read_csv(folder / "all.csv")
    table.loc[table["subject"] == "b", ["x", "y", "z"]] = 0.1
    table.to_csv(folder / "all.csv", index=False)
    with pytest.raises(InputError, match="landmarks of b coincide"):
        write_pair_examples(*tables, [("a", "c"), ("a", "b")], folder / "out.h5")
    assert not (folder / "out.h5").exists()
