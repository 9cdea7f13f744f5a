import itertools

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from registering import register

from lmcore.analysis import registration_pairs, registration_quality
from lmcore.analysis.overlap import dice, hd95
from lmcore.analysis.registration_pairs import Sample
from lmcore.analysis.registration_quality import (
    evaluate_registration,
    pair_statistic,
    register_pairs,
    registration_numbers,
)
from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.points.geometry import index_to_normalised
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
    image, grid = register(basis, SHAPE, at, images[source : source + 1])
    return image[0, 0], grid[0, 0]


def sample_of(images, segmentations=None, segmented=None, mask=None, spacing=1.0) -> Sample:
    n = len(images)
    return Sample(
        subjects=[f"s{k:02d}" for k in range(n)],
        images=images,
        segmentations=segmentations,
        segmented=np.zeros(n, dtype=bool) if segmented is None else np.array(segmented),
        mask=mask,
        spacing=spacing,
        affines=np.stack([np.eye(3)] * n),
        oriented=False,
    )


def shapes_of(images) -> np.ndarray:
    """Segmentations (N, *spatial) of what is bright in `blobs`."""
    return (images[:, 0] > 0.4).numpy().astype(np.uint8)


class TestRegisterPairs:
    @pytest.mark.parametrize("at_a_time", [1, 4 * 32 * 7, 10**6])
    def test_every_pair_on_the_full_grid(self, blobs, monkeypatch, at_a_time):
        """Whatever the number of planes at a time: 1, 7 (which leaves 1 of 15 cells), all."""
        monkeypatch.setattr(registration_pairs, "POINTS_AT_A_TIME", at_a_time)
        images, points = torch.from_numpy(blobs(4, SHAPE)), 0.8 * landmarks_of(4)
        points[1, 2] = points[1, 0] + torch.tensor([0.02, 0])  # folds, as others move apart
        found = register_pairs(sample_of(images), points, points[:, 2:], "paper")
        for target, source in itertools.permutations(range(4), 2):
            image, grid = registered_one(images, points, target, source)
            kept, _ = registered_one(images, points[:, 2:], target, source)
            before = (images[source] - images[target]).square().mean().item()
            after = (image - images[target]).square().mean().item()
            retained = (kept - images[target]).square().mean().item()
            folded = warp.folded_share(grid).item()
            assert found["loss_before"][target, source] == pytest.approx(before, rel=1e-5)
            assert found["loss_after"][target, source] == pytest.approx(after, rel=1e-4)
            assert found["loss_after_retained"][target, source] == pytest.approx(retained, rel=1e-4)
            assert found["folded_share"][target, source] == pytest.approx(folded, abs=3e-3)
        assert found["folded_share"][1, 0] > 0.01
        assert list(found) == [
            *(f"loss_{way}" for way in ("before", "affine", "after", "after_retained")),
            "folded_share",
        ]
        for matrix in found.values():
            assert np.isnan(np.diagonal(matrix)).all()

    def test_a_target_without_a_spline_counts_nowhere(self, blobs):
        images, points = torch.from_numpy(blobs(3, SHAPE)), landmarks_of(3)
        points[1, 2] = points[1, 0]
        sample = sample_of(images, shapes_of(images), [True] * 3, torch.ones(SHAPE))
        found = register_pairs(sample, points, points[:, 1:], "paper")
        for name, matrix in found.items():
            rows = [0, 2] if "retained" not in name else [0, 1, 2]  # these keep one of the two
            assert np.isnan(np.delete(matrix, rows, axis=0)).all()
            for row in rows:
                assert np.isfinite(np.delete(matrix[row], row)).all()
        ratio = {row["name"]: row["value"] for row in registration_numbers(found, "mm", 0)}
        others = [[0, 0, 2, 2], [1, 2, 0, 1]]
        above, below = (
            found[f"loss_{way}"][*others].mean() for way in ("after_retained", "before")
        )
        assert ratio["registration_loss_ratio_retained"] == pytest.approx(above / below)

    def test_overlap_of_the_registered_segmentations(self, blobs):
        images, points = torch.from_numpy(blobs(4, SHAPE)), landmarks_of(4)
        shapes, segmented = shapes_of(images), [True, True, False, True]
        shapes[2] = 0
        sample = sample_of(images, shapes, segmented, spacing=0.7)
        found = register_pairs(sample, points, points[:, :4], "paper")
        soft = torch.from_numpy(shapes)[:, None].float()
        for target, source in itertools.permutations(range(4), 2):
            at = (target, source)
            if 2 in at:
                overlaps = [found[name][at] for name in found if name[:4] in ("dice", "hd95")]
                assert len(overlaps) == 6
                assert np.isnan(overlaps).all()
                continue
            warped = registered_one(soft, points, target, source)[0][0].numpy() >= 0.5
            kept = registered_one(soft, points[:, :4], target, source)[0][0].numpy() >= 0.5
            assert found["dice_before"][at] == dice(shapes[target], shapes[source])
            assert found["dice_after"][at] == dice(shapes[target], warped)
            assert found["dice_after_retained"][at] == dice(shapes[target], kept)
            before = hd95(shapes[target], shapes[source], 0.7)
            assert found["hd95_before"][at] == pytest.approx(before)
            assert found["hd95_after"][at] == pytest.approx(hd95(shapes[target], warped, 0.7))

    def test_the_mask_lies_still(self, blobs):
        images, points = torch.from_numpy(blobs(3, SHAPE)), landmarks_of(3)
        mask = torch.zeros(SHAPE)
        mask[3:9, 4:20], mask[5, 6] = 1, 0.5
        found = register_pairs(sample_of(images, mask=mask), points, points, "paper")
        for target, source in itertools.permutations(range(3), 2):
            image, _ = registered_one(images, points, target, source)
            before = ((images[source] - images[target]) * mask).square().mean().item()
            after = ((image - images[target]) * mask).square().mean().item()
            assert found["masked_loss_before"][target, source] == pytest.approx(before, rel=1e-5)
            assert found["masked_loss_after"][target, source] == pytest.approx(after, rel=1e-4)


class TestKnownMaps:
    SHAPE = (18, 22, 27)

    def boxes(self, *lows: tuple[int, int, int]) -> np.ndarray:
        """Boxes of 6 x 8 x 9 voxels that begin at these (z, y, x)."""
        shapes = np.zeros((len(lows), *self.SHAPE), dtype=np.uint8)
        for shape, (z, y, x) in zip(shapes, lows, strict=True):
            shape[z : z + 6, y : y + 8, x : x + 9] = 1
        return shapes

    def around(self, *lows: tuple[int, int, int]) -> torch.Tensor:
        """Landmarks at 4 x 4 x 4 fixed places in and around each of these boxes."""
        steps = [np.linspace(-2, size + 1, 4) for size in (6, 8, 9)]
        places = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
        index = (places + np.array(lows)[:, None])[..., ::-1].copy()
        return torch.from_numpy(index_to_normalised(index, self.SHAPE))

    def test_a_translation(self):
        lows = ((4, 6, 7), (6, 5, 10))
        shapes = self.boxes(*lows)
        images = torch.from_numpy(0.8 * shapes[:, None].astype(np.float32))
        sample = sample_of(images, shapes, [True, True], spacing=1.5)
        points = self.around(*lows)
        found = register_pairs(sample, points, points, "thin_plate")
        common = (4 * 7 * 6) / (6 * 8 * 9)
        for at in ((0, 1), (1, 0)):
            assert found["dice_before"][at] == pytest.approx(common)
            assert found["dice_affine"][at] == 1
            assert found["loss_affine"][at] == pytest.approx(0, abs=1e-6)
            # the corners do not move with the box, so that T is a translation near it alone
            assert found["dice_after"][at] == 1
            assert found["hd95_after"][at] == 0

    def test_an_affine_map(self):
        """The affine registration is exact, and goes from the target to the source."""
        generator = torch.Generator().manual_seed(1)
        target = 1.2 * torch.rand(1, 9, 3, generator=generator).double() - 0.6
        linear = torch.tensor([[0.9, 0.1, 0.0], [-0.05, 1.1, 0.1], [0.02, 0.0, 0.95]]).double()
        source = target @ linear.T + torch.tensor([0.05, -0.04, 0.02]).double()
        mesh = spline.regular_grid(self.SHAPE)
        # intensities linear in the coordinates are interpolated without error
        ramp = 0.4 + mesh @ torch.tensor([0.1, 0.2, -0.15]).double()
        images = ramp.view(1, 1, *self.SHAPE).expand(2, -1, -1, -1, -1).float()
        sample = sample_of(images)
        register = registration_pairs.by_affine(sample, torch.cat([target, source]))
        registered = torch.cat([slab.registered for slab in register(0)], dim=2)[1, 0]
        mapped = mesh @ linear.T + torch.tensor([0.05, -0.04, 0.02]).double()
        expected = 0.4 + mapped.clamp(-1, 1) @ torch.tensor([0.1, 0.2, -0.15]).double()
        assert torch.allclose(registered.flatten().double(), expected, atol=1e-5)

    def test_landmarks_in_a_plane_shift_along_what_they_leave_open(self):
        points = torch.rand(2, 5, 3, generator=torch.Generator().manual_seed(2)).double() - 0.5
        points[0, :, 2] = 0.1
        points[1] = points[0] * torch.tensor([1.2, 0.9, 1.0])
        points[1, :, 2] += 0.2
        shape = (5, 6, 7)
        z = spline.regular_grid(shape)[:, 2].view(1, 1, *shape).float().expand(2, -1, -1, -1, -1)
        register = registration_pairs.by_affine(sample_of(z), points)
        registered = torch.cat([slab.registered for slab in register(0)], dim=2)[1]
        assert torch.allclose(registered, (z[1] + 0.2).clamp(max=1), atol=1e-5)


class TestNumbers:
    def test_a_gain_is_paired_and_its_interval_over_subjects(self):
        random = np.random.default_rng(0)
        before = random.uniform(0.2, 0.9, (6, 6))
        before[4] = before[:, 4] = np.nan  # without a segmentation
        np.fill_diagonal(before, np.nan)
        found = dict.fromkeys(("loss_before", "loss_after", "loss_affine"), before)
        found |= {"loss_after_retained": before, "folded_share": before}
        found |= {f"dice_{way}": before for way in ("before", "affine", "after_retained")}
        found |= {"dice_after": before + 0.07, "hd95_before": 10 * before, "hd95_after": before}
        rows = {row["name"]: row for row in registration_numbers(found, "pixel", 3)}
        gain = rows["dice_gain"]
        limits = [gain[name] for name in ("value", "ci_low", "ci_high")]
        np.testing.assert_allclose(limits, 0.07)
        assert gain["n"] == 20
        others = [0, 1, 2, 3, 5]
        fewer = {name: matrix[np.ix_(others, others)] for name, matrix in found.items()}
        # who is in no pair is not drawn either
        assert registration_numbers(fewer, "pixel", 3) == list(rows.values())
        before, after = rows["hd95_before"], rows["hd95_after"]
        assert before["value"] == pytest.approx(10 * after["value"])
        assert before["unit"] == after["unit"] == "pixel"
        assert before["ci_low"] < before["value"] < before["ci_high"]

    def test_an_empty_segmentation_leaves_both_distances(self, caplog):
        whole = np.where(np.eye(3), np.nan, 1.0)
        found = dict.fromkeys(("loss_before", "loss_after", "loss_affine"), whole)
        found |= {"loss_after_retained": whole, "folded_share": whole}
        found |= {f"dice_{way}": whole for way in ("before", "affine", "after", "after_retained")}
        after, before = whole.copy(), 4 * whole
        after[0, 1], before[0, 1] = np.inf, 100
        found |= {"hd95_before": before, "hd95_after": after}
        with caplog.at_level("WARNING"):
            rows = {row["name"]: row for row in registration_numbers(found, "mm", 3)}
        assert (rows["hd95_before"]["value"], rows["hd95_after"]["value"]) == (4, 1)
        assert rows["hd95_before"]["n"] == rows["hd95_after"]["n"] == 5
        assert "1 registered segmentations are empty" in caplog.text


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
    def run(splits, points, kept=(1, 3, 4, 6), oriented=True, kinds=None, **datasets):
        path, subjects = population(splits, SHAPE)
        if kinds:
            pd.read_csv(subjects).assign(kind=kinds).to_csv(subjects, index=False)
        with h5py.File(path, "a") as file:
            file.attrs["oriented"] = oriented
            for name, values in datasets.items():
                file[name] = values
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
            class_column="kind" if kinds else None,
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

    @pytest.mark.parametrize("oriented", [True, False])
    def test_examples_say_whether_directions_are_known(self, evaluate, oriented):
        *_, examples = evaluate(SPLITS, landmarks_of(7), oriented=oriented)
        with h5py.File(examples) as file:
            assert file["oriented"][:].tolist() == [oriented] * len(file["source"])

    def test_equal_landmarks_register_nothing(self, evaluate):
        points = landmarks_of(1).expand(7, -1, -1)
        _, numbers, _ = evaluate(SPLITS, points)
        value = numbers["value"]
        assert value["registration_loss_ratio"] == pytest.approx(1, abs=1e-4)
        assert value["folded_share"] == 0

    def test_segmentations_and_a_mask(self, evaluate, blobs):
        images, points = torch.from_numpy(blobs(7, SHAPE)), landmarks_of(7)
        shapes = shapes_of(images)
        segmented = np.array([True, True, True, True, False, False, True])
        shapes[~segmented] = 0
        mask = np.zeros(SHAPE, dtype=np.float32)
        mask[3:9, 4:20] = 0.5
        pairs, numbers, _ = evaluate(
            SPLITS, points, segmentation=shapes, segmented=segmented, mask=mask
        )
        assert list(pairs) == [
            *("target", "source"),
            *(f"loss_{way}" for way in ("before", "affine", "after", "after_retained")),
            *("masked_loss_before", "masked_loss_after"),
            *(f"dice_{way}" for way in ("before", "affine", "after", "after_retained")),
            *("hd95_before", "hd95_after", "folded_share"),
        ]
        both = ~pairs[["target", "source"]].isin(["s04"]).any(axis=1)
        names = [name for name in pairs if name[:4] in ("dice", "hd95")]
        assert pairs.loc[~both, names].isna().all(axis=None)
        assert pairs["loss_affine"].notna().all()
        for row in pairs[both].itertuples():
            target, source = (int(name[1:]) for name in (row.target, row.source))
            expected = dice(shapes[target], shapes[source])
            assert row.dice_before == pytest.approx(expected, rel=1e-8)
            distance = hd95(shapes[target], shapes[source], 1)  # pixels of the prepared image
            assert row.hd95_before == pytest.approx(distance, rel=1e-8)
        means, value = pairs.mean(numeric_only=True), numbers["value"]
        for name in names:
            assert value[name] == pytest.approx(means[name], rel=1e-6)
            assert numbers.loc[name, "n"] == 6
        gain = means["dice_after"] - means["dice_before"]
        assert value["dice_gain"] == pytest.approx(gain, rel=1e-6)
        for top, name in (("loss_affine", "affine"), ("masked_loss_after", "masked")):
            bottom = "masked_loss_before" if name == "masked" else "loss_before"
            ratio = means[top] / means[bottom]
            assert value[f"{name}_loss_ratio"] == pytest.approx(ratio, rel=1e-6)
        assert numbers.loc["hd95_after", "unit"] == "pixel"
        assert numbers.loc["dice_gain", "ci_low"] < numbers.loc["dice_gain", "ci_high"]

    def test_pairs_of_two_classes_have_a_dice_of_their_own(self, evaluate, blobs):
        shapes = shapes_of(torch.from_numpy(blobs(7, SHAPE)))
        segmented = np.ones(7, dtype=bool)
        kinds = ["lge", "lge", "dark", "lge", "", "lge", "lge"]  # s04 has none
        pairs, numbers, _ = evaluate(
            SPLITS, landmarks_of(7), segmentation=shapes, segmented=segmented, kinds=kinds
        )
        between = (pairs["target"] == "s02") ^ (pairs["source"] == "s02")
        between &= ~pairs[["target", "source"]].isin(["s04"]).any(axis=1)
        for way in ("before", "after"):
            row = numbers.loc[f"dice_between_{way}"]
            expected = pairs.loc[between, f"dice_{way}"].mean()
            assert row["value"] == pytest.approx(expected, rel=1e-6)
            assert row["n"] == between.sum() == 4
        _, numbers, _ = evaluate(
            SPLITS, landmarks_of(7), segmentation=shapes, segmented=segmented, kinds=["lge"] * 7
        )
        assert not [name for name in numbers.index if "between" in name]

    def test_one_segmentation_makes_no_pair(self, evaluate, blobs):
        shapes = shapes_of(torch.from_numpy(blobs(7, SHAPE)))
        segmented = np.arange(7) < 2  # one test subject, one of training
        pairs, numbers, examples = evaluate(
            SPLITS, landmarks_of(7), segmentation=shapes, segmented=segmented
        )
        assert not [name for name in [*pairs, *numbers.index] if name[:4] in ("dice", "hd95")]
        with h5py.File(examples) as file:
            assert not [name for name in file if "segmentation" in name]

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

    def test_segmentations(self, evaluate, blobs):
        images, points = torch.from_numpy(blobs(9, SHAPE)), landmarks_of(9)
        shapes, segmented = shapes_of(images), np.isin(np.arange(9), [1, 2, 5, 8])
        _, _, path = evaluate(["test"] * 9, points, segmentation=shapes, segmented=segmented)
        with h5py.File(path) as file:
            found = {name: file[name][:] for name in file if "subjects" not in name}
            sources, targets = (
                [int(name[1:]) for name in file[f"{side}_subjects"].asstr()]
                for side in ("source", "target")
            )
        assert (sources, targets) == ([1, 2, 5, 8], [5, 8, 1, 2])
        soft = torch.from_numpy(shapes)[:, None].float()
        for k, (target, source) in enumerate(zip(targets, sources, strict=True)):
            image, _ = registered_one(images, points, target, source)
            warped, _ = registered_one(soft, points, target, source)
            np.testing.assert_allclose(found["registered"][k], image[0], atol=1e-5)
            np.testing.assert_allclose(found["registered_segmentation"][k], warped[0], atol=1e-5)
            np.testing.assert_array_equal(found["source_segmentation"][k], shapes[source])
            np.testing.assert_array_equal(found["target_segmentation"][k], shapes[target])
        assert {v.dtype for name, v in found.items() if "segmentation" in name} == {
            np.dtype(np.float32)
        }
