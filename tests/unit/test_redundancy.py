import numpy as np
import pandas as pd
import pytest
import torch
from registering import register

from lmcore.discovery import redundancy
from lmcore.discovery.redundancy import Target, rank_landmarks, removal_order, select_landmarks
from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.points.landmarks import landmark_table
from lmcore.registration import spline, warp


def landmarks_of(images: int, count: int, dimension: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    spread = spline.spread_points(count, dimension)
    return spread + 0.15 * torch.rand(
        images, count, dimension, generator=generator, dtype=torch.float64
    )


def refitted_loss(images, points, kept, kernel):
    """Mean squared difference over all ordered pairs, every spline solved anew."""
    shape, losses = images.shape[2:], []
    grid = spline.regular_grid(shape)
    for target in range(len(images)):
        control = spline.with_corners(points[target : target + 1, kept])
        basis = spline.cardinal_basis(spline.fit(control, kernel), grid)
        for source in range(len(images)):
            if source != target:
                at = spline.with_corners(points[source : source + 1, kept])
                found, _ = register(basis, shape, at, images[source : source + 1])
                losses.append((found[0, 0] - images[target]).square().mean().item())
    return np.mean(losses)


def targets_of(images, points, kernel):
    grid = spline.regular_grid(images.shape[2:])
    return [
        Target(images[k], points[k], images[others], points[others], grid, kernel)
        for k in range(len(images))
        for others in [[i for i in range(len(images)) if i != k]]
    ]


@pytest.mark.parametrize(
    ("shape", "kernel"), [((16, 27), "paper"), ((7, 9, 11), "paper"), ((7, 9, 11), "thin_plate")]
)
def test_order_is_that_of_solving_anew(blobs, shape, kernel):
    count = 7
    images = torch.from_numpy(blobs(3, shape))
    points = landmarks_of(3, count, len(shape))
    order = removal_order(targets_of(images, points, kernel), count)
    kept, before = list(range(count)), refitted_loss(images, points, list(range(count)), kernel)
    for row in order.itertuples():
        trials = [refitted_loss(images, points, [k for k in kept if k != j], kernel) for j in kept]
        assert row.landmark == kept.pop(int(np.argmin(trials))) + 1
        assert row.loss_before == pytest.approx(before, rel=1e-4)
        assert row.loss_after == pytest.approx(min(trials), rel=1e-4)
        assert row.change == row.loss_after - row.loss_before
        before = min(trials)
    assert order["step"].tolist() == list(range(1, count + 1))


def test_corners_stay_to_the_end(blobs):
    """With all landmarks gone the corners are left, and T is the identity."""
    images = torch.from_numpy(blobs(3, (16, 27)))
    order = removal_order(targets_of(images, landmarks_of(3, 5, 2), "paper"), 5)
    assert sorted(order["landmark"]) == [1, 2, 3, 4, 5]
    pairs = [(t, s) for t in range(3) for s in range(3) if t != s]
    unregistered = np.mean([(images[t] - images[s]).square().mean() for t, s in pairs])
    assert order["loss_after"].iloc[-1] == pytest.approx(unregistered, rel=1e-4)
    assert order["loss_before"].iloc[0] != pytest.approx(unregistered, rel=1e-2)


def test_a_landmark_that_moves_nothing_costs_nothing(blobs):
    """The spline without landmark 3 already maps it where it is."""
    images = torch.from_numpy(blobs(2, (16, 27)))
    points = landmarks_of(2, 5, 2)
    others = [0, 1, 3, 4]
    fitted = spline.fit(spline.with_corners(points[:1, others]))
    basis = spline.cardinal_basis(fitted, points[0, 2:3])
    moved = spline.transform(basis, spline.with_corners(points[1:, others]))
    points[1, 2] = moved[0, 0, :, 0].double()
    grid = spline.regular_grid((16, 27))
    target = Target(images[0], points[0], images[1:], points[1:], grid, "paper")
    changes = target.losses_without([0, 1, 2, 3, 4]) - target.loss()
    assert changes.abs().argmin() == 2
    assert changes[2].abs() < 1e-7
    assert changes[others].abs().min() > 1e-5


@pytest.mark.parametrize("shape", [(16, 27), (7, 9, 11)])
def test_a_mask_multiplies_both_images(blobs, shape):
    """Eq. 9: the same as ranking images that were multiplied where they are compared."""
    images, count = torch.from_numpy(blobs(3, shape)), 5
    points = landmarks_of(3, count, len(shape))
    grid = spline.regular_grid(shape)[::3]
    mask = torch.linspace(0.2, 1.0, len(grid))
    target = Target(images[0], points[0], images[1:], points[1:], grid, "paper", mask)
    basis = spline.cardinal_basis(spline.fit(spline.with_corners(points[:1])), grid)
    at = spline.transform(basis, spline.with_corners(points[1:])).mT
    places = at.unflatten(2, (-1, *[1] * (len(shape) - 1)))
    registered = warp.sample(images[1:], places)[0].flatten(1)
    values = images[0].flatten()[::3]
    expected = (mask * registered - mask * values).square().mean().item()
    assert target.loss() == pytest.approx(expected, rel=1e-4)
    plain = Target(images[0], points[0], images[1:], points[1:], grid, "paper")
    assert plain.loss() != pytest.approx(expected, rel=0.05)
    splines = target.splines
    splines.remove(2)
    after = target.loss()
    again = Target(images[0], points[0], images[1:], points[1:], grid, "paper", mask)
    assert again.losses_without([0, 2])[1].item() == pytest.approx(after, rel=1e-5)


@pytest.fixture
def ranked(population, tmp_path):
    """Ranks landmarks of a population; the numbers have gaps, as after an earlier removal."""
    numbers = [2, 3, 5, 8, 13]

    def run(splits, points=None, seed=1, **options):
        path, subjects = population(splits, (16, 27))
        if points is None:
            points = landmarks_of(len(splits), 5, 2)
        affines = np.stack([np.eye(3)] * len(splits))
        ids = [f"s{k:02d}" for k in range(len(splits))]
        table = landmark_table(ids, points.numpy(), numbers, (16, 27), affines)
        write_csv(tmp_path / "all.csv", table)
        output = tmp_path / "importance.csv"
        files = output, tmp_path / "seen.csv"
        rank_landmarks(path, subjects, tmp_path / "all.csv", "paper", seed, *files, **options)
        return output

    return run


class TestRank:
    splits = ("train", "test", "train", "validation", "train", "train", "test")

    def test_table(self, ranked, blobs):
        order = pd.read_csv(ranked(self.splits))
        assert list(order) == ["step", "landmark", "loss_before", "loss_after", "change"]
        assert sorted(order["landmark"]) == [2, 3, 5, 8, 13]
        train = [0, 2, 4, 5]
        images = torch.from_numpy(blobs(7, (16, 27)))[train]
        points = landmarks_of(7, 5, 2)[train]
        expected = removal_order(targets_of(images, points, "paper"), 5)
        numbers = np.array([2, 3, 5, 8, 13])
        assert order["landmark"].tolist() == numbers[expected["landmark"] - 1].tolist()
        np.testing.assert_allclose(order["loss_after"], expected["loss_after"], rtol=1e-6)

    def test_only_training_subjects_count(self, ranked):
        first = ranked(self.splits).read_bytes()
        points = landmarks_of(7, 5, 2)
        points[[1, 3, 6]] = points[[1, 3, 6]].flip(1)
        assert ranked(self.splits, points).read_bytes() == first

    def test_subjects_and_pixels_are_drawn_by_the_seed(self, ranked, monkeypatch):
        monkeypatch.setattr(redundancy, "RANKING_SUBJECTS", 3)
        monkeypatch.setattr(redundancy, "RANKING_POINTS", 100)
        same = {ranked(self.splits, seed=1).read_bytes() for _ in range(2)}
        assert len(same) == 1
        assert len({ranked(self.splits, seed=seed).read_bytes() for seed in range(6)}) > 3

    def test_subjects_whose_landmarks_met_are_left_out(self, ranked, caplog):
        points = landmarks_of(7, 5, 2)
        points[2, 1] = points[2, 4]
        with caplog.at_level("INFO", logger="lmcore"):
            order = pd.read_csv(ranked(self.splits, points))
        assert caplog.messages == ["1 targets left out: their landmarks coincide"]
        assert np.isfinite(order).all(axis=None)

    @staticmethod
    def with_mask(monkeypatch, mask):
        init = redundancy.Population.__init__

        def opened(self, path):
            init(self, path)
            self.mask = mask

        monkeypatch.setattr(redundancy.Population, "__init__", opened)

    def test_region(self, ranked, blobs, monkeypatch):
        """Only what is inside the mask counts, as much as the mask says."""
        mask = np.zeros((16, 27), np.float32)
        mask[3:9, 5:20] = np.linspace(0.1, 1, 15, dtype=np.float32)
        self.with_mask(monkeypatch, mask)
        order = pd.read_csv(ranked(self.splits, region=True))
        train = [0, 2, 4, 5]
        images, points = torch.from_numpy(blobs(7, (16, 27)))[train], landmarks_of(7, 5, 2)[train]
        before = np.mean(
            [
                (mask[mask > 0] ** 2 * (found - images[target, 0].numpy())[mask > 0] ** 2).mean()
                for target in range(4)
                for source in range(4)
                if source != target
                for found in [self.registered(images, points, target, source)]
            ]
        )
        assert order["loss_before"].iloc[0] == pytest.approx(before, rel=1e-4)
        without = pd.read_csv(ranked(self.splits))
        assert without["loss_before"].iloc[0] != pytest.approx(before, rel=0.05)

    @staticmethod
    def registered(images, points, target, source):
        fitted = spline.fit(spline.with_corners(points[target : target + 1]))
        basis = spline.cardinal_basis(fitted, spline.regular_grid((16, 27)))
        at = spline.with_corners(points[source : source + 1])
        return register(basis, (16, 27), at, images[source : source + 1])[0][0, 0, 0].numpy()

    @pytest.mark.parametrize("mask", [None, np.zeros((16, 27), np.float32)])
    def test_a_region_that_is_not_there(self, ranked, monkeypatch, mask, tmp_path):
        self.with_mask(monkeypatch, mask)
        with pytest.raises(InputError, match=r"redundancy\.region is true.* no region"):
            ranked(self.splits, region=True)
        assert not (tmp_path / "importance.csv").exists()

    def test_all_landmarks_met(self, ranked, tmp_path):
        with pytest.raises(InputError, match=r"coincide.*raise training\.regularization"):
            ranked(self.splits, torch.zeros(7, 5, 2))
        assert not (tmp_path / "importance.csv").exists()

    def test_one_training_subject(self, ranked):
        with pytest.raises(InputError, match="needs two subjects in the training split"):
            ranked(["train", "test", "test"])


class TestSelect:
    order = (5, 2, 13, 3, 8)
    changes = (-0.2, 0.1, 0.4, 0.3, 0.9)

    @pytest.fixture
    def select(self, tmp_path):
        importance, landmarks = tmp_path / "importance.csv", tmp_path / "all.csv"
        write_csv(importance, pd.DataFrame({"landmark": self.order, "change": self.changes}))
        points = np.random.default_rng(0).uniform(-1, 1, (2, 5, 2))
        affines = np.stack([np.eye(3)] * 2)
        table = landmark_table(["001", "NA"], points, [2, 3, 5, 8, 13], (16, 27), affines)
        write_csv(landmarks, table)

        def run(**choice):
            output = tmp_path / "retained.csv"
            count = select_landmarks(importance, landmarks, output, **choice)
            lines = output.read_text().splitlines()
            assert set(lines) <= set(landmarks.read_text().splitlines())  # rows as they were
            kept = [int(line.split(",")[1]) for line in lines[1:]]
            assert kept[:count] == kept[count:]
            return kept[:count]

        return run

    @pytest.mark.parametrize(
        ("choice", "kept"),
        [
            ({"retain": 5}, [2, 3, 5, 8, 13]),
            ({"retain": 3}, [3, 8, 13]),
            ({"retain": 1}, [8]),
            ({}, [2, 3, 5, 8, 13]),
            # until the first removal that would cost more, though a later one costs less
            ({"threshold": 0.35}, [3, 8, 13]),
            ({"threshold": 0.1}, [3, 8, 13]),
            ({"threshold": 0.0}, [2, 3, 8, 13]),
            ({"threshold": -1.0}, [2, 3, 5, 8, 13]),
            ({"threshold": 0.5, "retain": 4}, [8]),
        ],
    )
    def test_kept(self, select, choice, kept):
        assert select(**choice) == kept

    def test_more_than_there_are(self, select, tmp_path):
        with pytest.raises(InputError, match=r"retain is 6, but only 5 landmarks"):
            select(retain=6)
        with pytest.raises(InputError, match=r"threshold 2 would remove every landmark"):
            select(threshold=2.0)
        assert not (tmp_path / "retained.csv").exists()
