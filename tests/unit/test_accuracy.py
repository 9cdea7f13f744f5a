"""The accuracy benchmark end to end on images whose landmarks are known, and its inputs."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from benchmarks import accuracy, baselines, choices, prediction, scores, tables
from lmcore.discovery import recipes
from lmcore.errors import InputError
from lmcore.population.table import Subject, read_subjects

HEIGHT, WIDTH = 66, 130  # prepared at half of it


class TrueLandmarks(torch.nn.Module):
    """The centres of what is brighter and of what is darker than the background."""

    landmarks = 2

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images):
        y, x = (torch.linspace(-1, 1, n).double() for n in images.shape[2:])
        found = []
        for sign in (1, -1):
            # the background is 1/2, but for rounding
            weight = (sign * (images[:, 0].double() - 0.5) - 0.02).clamp_min(0)
            total = weight.sum(dim=(1, 2))
            along = [(weight.sum(dim=1) @ x) / total, (weight.sum(dim=2) @ y) / total]
            found.append(torch.stack(along, dim=-1))
        return torch.stack(found, dim=1)


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    """A table of 30 images, a bright and a dark blob each, and their true landmarks."""
    folder = tmp_path_factory.mktemp("blobs")
    random = np.random.default_rng(1)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    subjects, landmarks = [], []
    for number in range(30):
        side = number % 2
        bright = random.uniform([35, 20], [50, 45])
        dark = random.uniform([75 + 15 * side, 20], [85 + 15 * side, 45])
        image = np.full((HEIGHT, WIDTH), 128.0)
        for (u, v), height in ((bright, 100), (dark, -100)):
            image += height * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 2 / 4.0**2)
        Image.fromarray(np.uint8(np.round(image))).save(folder / f"b{number}.png")
        # the table says where to train: the benchmark has to draw its own split
        subjects.append((f"s{number}", f"b{number}.png", "train", ["near", "far"][side]))
        landmarks.append((f"b{number}.png", *bright, *dark))
    columns = ["subject", "image", "split", "kind"]
    pd.DataFrame(subjects, columns=columns).to_csv(folder / "subjects.csv", index=False)
    names = ["file", "x1", "y1", "x2", "y2"]
    pd.DataFrame(landmarks, columns=names).to_csv(folder / "points.csv", index=False)
    return folder


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(prediction, "COSTS", (10.0,))
    monkeypatch.setattr(prediction, "GAMMAS", (0.5,))
    monkeypatch.setattr(prediction, "CLASS_REPEATS", 1)
    monkeypatch.setattr(prediction, "REPEATS", 1)
    monkeypatch.setattr(baselines, "SUPERVISED_STEPS", 2)
    monkeypatch.setattr(scores, "DRAWS", {2: 2})
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def run(capsys, folder, *arguments) -> dict:
    table = ["--table", str(folder / "subjects.csv"), "--size", "33", "65", "--threads", "1"]
    accuracy.main([*table, *arguments])
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_true_landmarks_score_as_such(blobs, quick, capsys, monkeypatch):
    monkeypatch.setattr(accuracy, "train_encoder_on", lambda *_: TrueLandmarks().eval())
    points = ["--landmarks", str(blobs / "points.csv")]
    found = run(capsys, blobs, "--class", "kind", *points, "--landmarks-count", "2")
    assert set(accuracy.KEYS) <= set(found)
    assert (found["seen"], found["unseen"], found["size"]) == (18, 12, [33, 65])
    # pixels of 2 x 2 original ones and 8 bits: a tenth of a pixel of 60
    assert found["landmark_regression_percent"] < 0.3
    assert found["reverse_regression"] < 0.3
    assert found["mean_landmarks_percent"] > 5
    true = pd.read_csv(blobs / "points.csv").drop(columns="file").to_numpy().reshape(-1, 2, 2)
    assert found["object_length"] == pytest.approx(prediction.box_diagonal(true), rel=1e-3)
    assert set(found["regression_curve"]["landmarks"]) == {"5", "all"}
    assert found["equivariance_median_percent"] < 0.3
    assert found["equivariance_p95_percent"] < 1.5
    assert found["balanced_accuracy"] == 1
    assert found["dead_share"] == found["folded_share"] == 0
    assert found["off_object_share"] == 0.5  # the object is the larger of the two blobs
    assert found["registration_loss_ratio"] < 0.1
    assert found["registration_loss_ratio"] < found["affine_loss_ratio"] < 0.5
    for absent in ("dice_before", "dice_after", "hd95_before", "hd95_after"):
        assert found[absent] is None
    low, high = found["intervals"]["landmark_regression_percent"]
    assert low < found["landmark_regression_percent"] < high


@pytest.mark.parametrize("recipe", ["paper", "robust"])
def test_short_command_trains_on_images_alone(blobs, quick, capsys, recipe):
    arguments = ["--recipe", recipe, "--pairs", "60", "--landmarks-count", "4"]
    found = run(capsys, blobs, *arguments, "--set", "training.batch=4", "model.hidden=8")
    settings = found["settings"]
    assert (settings["recipe"], settings["batch"], settings["hidden"]) == (recipe, 4, 8)
    assert settings["regularization"] == {"paper": 1e-6, "robust": 1e-2}[recipe]
    assert found["landmarks"] == 4
    assert 0 < found["registration_loss_ratio"] < 2
    assert found["equivariance_median_percent"] > 0
    for absent in ("balanced_accuracy", "landmark_regression_percent", "supervised_percent"):
        assert found[absent] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--class", "sort"], "has no label column 'sort'"),
        (["--set", "training.batsh=4"], "did you mean batch"),
        (["--set", "training.batch=["], "is not YAML"),
        (["--set", "training.regularization={weights: [1.0, 2.0]}"], "one number here"),
        (["--landmarks", "nowhere.csv"], "--landmarks nowhere.csv cannot be read"),
    ],
)
def test_user_errors_are_one_line(blobs, quick, capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        run(capsys, blobs, *arguments)
    assert str(caught.value.code).startswith("error: ")
    assert message in str(caught.value.code)
    assert "\n" not in str(caught.value.code)


def subject(number, kind="a"):
    image = f"images/w{number}.jpg"
    return Subject(f"s{number}", image, None, None, None, None, None, {"kind": kind})


def test_split_is_forty_percent_unseen_of_every_class():
    kinds = ["a"] * 50 + ["b"] * 30 + ["c"] * 20
    subjects = [subject(number, kind) for number, kind in enumerate(kinds)]
    names = np.array(tables.draw_splits(subjects, "kind", seed=1))
    assert {name: (names == name).sum() for name in set(names)} == {
        "train": 54,
        "validation": 6,
        "test": 40,
    }
    unseen = [kinds[i] for i in np.flatnonzero(names == "test")]
    assert [unseen.count(kind) for kind in "abc"] == [20, 12, 8]
    assert list(names) == tables.draw_splits(subjects, "kind", seed=1)
    assert list(names) != tables.draw_splits(subjects, "kind", seed=2)
    few = tables.draw_splits(subjects[:16], None, seed=1)
    assert [few.count(name) for name in ("train", "validation", "test")] == [8, 2, 6]


def test_too_few_subjects(blobs, tmp_path):
    table = pd.read_csv(blobs / "subjects.csv").head(9)
    table.to_csv(tmp_path / "few.csv", index=False)
    with pytest.raises(InputError, match="9 subjects; at least 10"):
        tables.prepare(tmp_path / "few.csv", blobs, None, {}, 1, tmp_path, 1)


def test_small_classes_are_left_out():
    classes = np.array(["a"] * 5 + ["b"] * 2 + ["c"] * 3)
    kept, left_out = tables.large_classes(classes, "kind")
    assert kept.tolist() == [True] * 5 + [False] * 2 + [True] * 3
    assert left_out == ["b"]
    with pytest.raises(InputError, match="--class kind: two classes"):
        tables.large_classes(classes[:7], "kind")


def test_hand_placed_landmarks_find_their_subject(tmp_path):
    path = tmp_path / "points.csv"
    rows = ["name,x1,y1,x2,y2", "w2.jpg,1,2,3,4", "s0,5,6,7,8", "", "w1,9,10,11,12"]
    path.write_text("\n".join([*rows, "images/w4.jpg,1,1,1,1", "stranger,0,0,0,0"]) + "\n")
    found = tables.read_hand_placed(path, [subject(number) for number in range(5)])
    assert found[2].tolist() == [[1, 2], [3, 4]]
    assert found[0].tolist() == [[5, 6], [7, 8]]
    assert found[1].tolist() == [[9, 10], [11, 12]]
    assert found[4].tolist() == [[1, 1], [1, 1]]
    assert np.isnan(found[3]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,x1,y1\n", "no row below its header"),
        ("name,x1,y1\ns0,1\n", "line 2 has 2 cells"),
        ("name,x1,y1\ns0,1,2\ns1,1,2,3,4\n", "line 3 has 5 cells"),
        ("name,x1,y1\ns0,1,left\n", r"line 2 \(s0\) has a cell that is no number"),
        ("name,x1,y1\ns0,1,nan\n", r"line 2 \(s0\) has a cell that is no number"),
        ("name,x1,y1\ns0,1,2\nw0.jpg,1,2\n", "line 3 is another row of s0"),
        ("name,x1,y1\nx0,1,2\n", "no row is named by a subject or image of the table"),
    ],
)
def test_hand_placed_landmarks_that_are_none(tmp_path, text, message):
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        tables.read_hand_placed(path, [subject(number) for number in range(3)])


def test_volumes_have_shorter_trainings_and_no_hand_placed_landmarks(blobs):
    command = ["--table", str(blobs / "subjects.csv")]
    options = accuracy.parse(command)
    small = choices.training_settings(choices.configured(options, (96, 128)))
    assert (small.pairs, small.batch, small.grid_stride, small.landmarks) == (200_000, 12, 4, 20)
    larger = choices.configured(options, (128, 160))
    assert larger["training"]["pairs"] == 136_718  # 2.8e9 pixels of pairs
    volume = choices.training_settings(choices.configured(options, (64, 64, 64)))
    assert (volume.pairs, volume.batch, volume.grid_stride, volume.landmarks) == (9536, 4, 2, 32)
    classes = accuracy.parse([*command, "--class", "kind"])
    assert choices.configured(classes, (64, 64, 64))["model"]["landmarks"] == 16


def test_points_go_to_the_originals_pixels_and_back(blobs, tmp_path, quick):
    options = accuracy.parse(["--table", str(blobs / "subjects.csv"), "--size", "48", "64"])
    run = choices.configured(options)
    path, subjects, split = tables.prepare(options.table, None, None, run, 1, tmp_path, 1)
    assert len(subjects) == len(read_subjects(options.table)) == 30
    assert sorted(split.seen + split.unseen) == list(range(30))
    with tables.Population(path) as population:
        # letterboxed: the width fits, 64 of 130 pixels; its 32 or 33 rows are in the middle
        points = np.array([[[-1.0, 0.0], [1.0, 0.0]]])
        found = tables.to_original(points, population, [3])
        step = WIDTH / 64
        np.testing.assert_allclose(found[0, :, 0], [(step - 1) / 2, WIDTH - 1 - (step - 1) / 2])
        np.testing.assert_allclose(found[0, :, 1], (HEIGHT - 1) / 2, atol=step / 2)
        np.testing.assert_allclose(tables.to_normalised(found, population, [3]), points, atol=1e-12)


def test_a_part_can_be_left_out_of_the_robust_recipe():
    options = accuracy.parse(["--table", "subjects.csv", "--without", "equivariance"])
    settings = choices.training_settings(choices.configured(options, (96, 128)), options.without)
    recipe, robust = recipes.RECIPES[settings.recipe], recipes.RECIPES["robust"]
    assert (recipe.equivariance, robust.equivariance > 0) == (0.0, True)
    assert replace(recipe, equivariance=robust.equivariance) == robust
    del recipes.RECIPES[settings.recipe]
    for part, change in choices.PARTS.items():
        assert (replace(robust, **change) != robust) == (part != "nothing"), part
