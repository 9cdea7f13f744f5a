import itertools

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from lmcore.analysis import registration_quality
from lmcore.analysis.registration_quality import (
    evaluate_registration,
    pair_statistic,
    register_pairs,
)
from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.points.landmarks import landmark_table
from lmcore.registration import spline, warp

SHAPE = (16, 32)


def landmarks_of(images: int, count: int = 6, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    jitter = torch.rand(images, count, 2, generator=generator, dtype=torch.float64)
    return spline.spread_points(count, 2) + 0.2 * jitter


def registered_one(images, points, target, source):
    """One pair, by a fit of its own on the full grid: image, and T."""
    fitted = spline.fit(spline.with_corners(points[target : target + 1]))
    basis = spline.cardinal_basis(fitted, spline.regular_grid(SHAPE))
    at = spline.with_corners(points[source : source + 1])
    image, grid = warp.register(basis, SHAPE, at, images[source : source + 1])
    return image[0, 0], grid[0, 0]


class TestRegisterPairs:
    def test_every_pair_on_the_full_grid(self, blobs):
        images, points = torch.from_numpy(blobs(4, SHAPE)), 0.8 * landmarks_of(4)
        points[1, 2] = points[1, 0] + torch.tensor([0.02, 0])  # folds, as others move apart
        found = register_pairs(images, points, "paper")
        for target, source in itertools.permutations(range(4), 2):
            image, grid = registered_one(images, points, target, source)
            before = (images[source] - images[target]).square().mean().item()
            after = (image - images[target]).square().mean().item()
            folded = warp.folded_share(grid).item()
            assert found["before"][target, source] == pytest.approx(before, rel=1e-5)
            assert found["after"][target, source] == pytest.approx(after, rel=1e-4)
            assert found["folded"][target, source] == pytest.approx(folded, abs=3e-3)
        assert found["folded"][1, 0] > 0.01
        for matrix in found.values():
            assert np.isnan(np.diagonal(matrix)).all()

    def test_a_target_without_a_spline_counts_nowhere(self, blobs):
        images, points = torch.from_numpy(blobs(3, SHAPE)), landmarks_of(3)
        points[1, 2] = points[1, 0]
        for matrix in register_pairs(images, points, "paper").values():
            assert np.isnan(matrix[1]).all()
            assert np.isfinite(matrix[[0, 2, 0, 2], [1, 1, 2, 0]]).all()


def test_pair_statistic_counts_pairs_by_their_subjects():
    top = np.array([[np.nan, 1, 2], [3, np.nan, 4], [5, 6, np.nan]])
    bottom = 10 * top
    weights = np.array([[1.0, 1, 1], [2, 1, 0], [0, 3, 0]])
    expected = []
    for w in weights:
        drawn = np.repeat(np.arange(3), w.astype(int))
        pairs = [(t, s) for t, s in itertools.product(drawn, drawn) if t != s]
        expected.append(np.mean([top[p] for p in pairs]) if pairs else np.nan)
    np.testing.assert_allclose(pair_statistic(top)(weights), expected)
    np.testing.assert_allclose(pair_statistic(top, bottom)(weights), [0.1, 0.1, np.nan])
    top[2] = np.nan  # without that target, above and below
    ratio = pair_statistic(top, bottom)(np.ones((1, 3)))
    np.testing.assert_allclose(ratio, 10 / 100)


@pytest.fixture
def evaluate(population, tmp_path):
    def run(splits, points, kept=(1, 3, 4, 6)):
        path, subjects = population(splits, SHAPE)
        ids = [f"s{k:02d}" for k in range(len(splits))]
        affines = np.stack([np.eye(3)] * len(splits))
        every = landmark_table(ids, points.numpy(), range(1, 7), SHAPE, affines)
        write_csv(tmp_path / "all.csv", every)
        write_csv(tmp_path / "retained.csv", every[every["landmark"].isin(kept)])
        outputs = [tmp_path / name for name in ("pairs.csv", "numbers.csv", "examples.h5")]
        evaluate_registration(
            path,
            subjects,
            tmp_path / "all.csv",
            tmp_path / "retained.csv",
            "paper",
            7,
            *outputs,
        )
        pairs, numbers, examples = outputs
        return pd.read_csv(pairs), pd.read_csv(numbers).set_index("name"), examples

    return run


SPLITS = ("test", "train", "test", "validation", "test", "train", "test")
TEST = [0, 2, 4, 6]


class TestEvaluate:
    def test_pairs_of_test_subjects(self, evaluate, blobs):
        images, points = torch.from_numpy(blobs(7, SHAPE)), landmarks_of(7)
        pairs, numbers, _ = evaluate(SPLITS, points)
        ids = {k: f"s{k:02d}" for k in TEST}
        expected = list(itertools.permutations(TEST, 2))
        assert list(zip(pairs["target"], pairs["source"], strict=True)) == [
            (ids[t], ids[s]) for t, s in expected
        ]
        for row, (target, source) in zip(pairs.itertuples(), expected, strict=True):
            image, _ = registered_one(images, points, target, source)
            kept, _ = registered_one(images, points[:, [0, 2, 3, 5]], target, source)
            after = (image - images[target]).square().mean().item()
            retained = (kept - images[target]).square().mean().item()
            assert row.loss_after == pytest.approx(after, rel=1e-4)
            assert row.loss_after_retained == pytest.approx(retained, rel=1e-4)
        means = pairs.mean(numeric_only=True)
        value = numbers["value"]
        ratio = means["loss_after"] / means["loss_before"]
        assert value["registration_loss_ratio"] == pytest.approx(ratio, rel=1e-6)
        ratio = means["loss_after_retained"] / means["loss_before"]
        assert value["registration_loss_ratio_retained"] == pytest.approx(ratio, rel=1e-6)
        assert value["registration_loss_before"] == pytest.approx(means["loss_before"])
        assert value["registration_loss_after"] == pytest.approx(means["loss_after"])
        assert value["folded_share"] == pytest.approx(means["folded_share"])
        assert (value["landmarks_discovered"], value["landmarks_retained"]) == (6, 4)
        row = numbers.loc["registration_loss_ratio"]
        assert row["n"] == 12
        assert row["ci_low"] < row["value"] < row["ci_high"]

    def test_equal_landmarks_register_nothing(self, evaluate):
        points = landmarks_of(1).expand(7, -1, -1)
        _, numbers, _ = evaluate(SPLITS, points)
        value = numbers["value"]
        assert value["registration_loss_ratio"] == pytest.approx(1, abs=1e-4)
        assert value["folded_share"] == 0

    def test_two_subjects_have_no_interval(self, evaluate):
        _, numbers, _ = evaluate(["test", "train", "test"], landmarks_of(3))
        assert numbers.loc["registration_loss_ratio", "n"] == 2
        assert np.isfinite(numbers.loc["registration_loss_ratio", "value"])
        assert numbers[["ci_low", "ci_high"]].isna().all(axis=None)

    def test_a_target_whose_landmarks_met(self, evaluate):
        points = landmarks_of(7)
        points[2, 3] = points[2, 0]  # among the retained as well
        pairs, numbers, _ = evaluate(SPLITS, points)
        lost = pairs["target"] == "s02"
        assert (
            pairs.loc[lost, ["loss_after", "loss_after_retained", "folded_share"]]
            .isna()
            .all(axis=None)
        )
        assert numbers.loc["registration_loss_ratio", "n"] == 9
        assert numbers.loc["folded_share", "value"] == pytest.approx(
            pairs.loc[~lost, "folded_share"].mean(), abs=1e-9
        )

    def test_no_target_has_a_spline(self, evaluate, tmp_path):
        with pytest.raises(InputError, match=r"coincide.*raise training\.regularization"):
            evaluate(SPLITS, torch.zeros(7, 6, 2))
        assert not (tmp_path / "pairs.csv").exists()

    def test_one_test_subject(self, evaluate):
        with pytest.raises(InputError, match=r"split test needs two .* change population\.split"):
            evaluate(["test", "train", "train"], landmarks_of(3))

    def test_so_many_subjects_at_most(self, evaluate, monkeypatch):
        monkeypatch.setattr(registration_quality, "MOST_SUBJECTS", 3)
        pairs, numbers, _ = evaluate(SPLITS, landmarks_of(7))
        assert len(pairs) == numbers.loc["registration_loss_ratio", "n"] == 6


class TestExamples:
    def test_content(self, evaluate, blobs):
        images, points = torch.from_numpy(blobs(7, SHAPE)), landmarks_of(7)
        _, _, path = evaluate(SPLITS, points)
        with h5py.File(path) as file:
            found = {name: file[name][:] for name in file if "subjects" not in name}
            sources, targets = (
                [int(name[1:]) for name in file[f"{side}_subjects"].asstr()]
                for side in ("source", "target")
            )
        assert set(sources) | set(targets) <= set(TEST)
        assert found["numbers"].tolist() == [1, 2, 3, 4, 5, 6]
        assert found["retained"].tolist() == [True, False, True, True, False, True]
        for k, (target, source) in enumerate(zip(targets, sources, strict=True)):
            assert target != source
            image, grid = registered_one(images, points, target, source)
            np.testing.assert_allclose(found["registered"][k], image[0], atol=1e-5)
            np.testing.assert_allclose(found["grid_points"][k], grid, atol=1e-6)
            np.testing.assert_array_equal(found["source"][k], images[source, 0])
            np.testing.assert_array_equal(found["target"][k], images[target, 0])
            np.testing.assert_allclose(found["source_points"][k], points[source], atol=1e-8)
            np.testing.assert_allclose(found["target_points"][k], points[target], atol=1e-8)

    @pytest.mark.parametrize("subjects", [2, 3, 5, 9])
    def test_no_pair_twice(self, evaluate, subjects):
        _, _, path = evaluate(["test"] * subjects, landmarks_of(subjects))
        with h5py.File(path) as file:
            pairs = list(zip(file["source_subjects"][:], file["target_subjects"][:], strict=True))
        assert len(pairs) == min(4, subjects)
        assert len(set(pairs)) == len(pairs)
