import logging
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from lmcore.discovery import trainer
from lmcore.discovery.checkpoint import load_encoder, save_encoder
from lmcore.discovery.encoder import LandmarkEncoder
from lmcore.discovery.heatmaps import HeatmapEncoder
from lmcore.discovery.objective import Registrar, Supervision
from lmcore.discovery.recipes import RECIPES
from lmcore.discovery.settings import TrainingSettings
from lmcore.discovery.stages import HISTORY, adopt_encoder, train_encoder
from lmcore.discovery.trainer import Training
from lmcore.discovery.validation import evaluate
from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.points.landmarks import landmark_table
from lmcore.registration.spline import reference_condition_number, spread_points

SHAPE = (16, 32)
TRAIN, VALIDATION = [0, 1, 2, 4, 7], [3, 6]  # 5 is for the test
# six pairs a step, two steps a validation
SETTINGS = TrainingSettings(
    landmarks=4,
    regularization=1e-5,
    widths=(2, 2, 2, 2),
    hidden=4,
    pairs=60,
    validate_every=12,
    batch=3,
    grid_stride=2,
)


class Spy:
    """Images by index; remembers what was asked for, and does what is told at a call."""

    def __init__(self, images: np.ndarray, at: int = 0, happens=None):
        self.images, self.asked = torch.from_numpy(images), []
        self.at, self.happens = at, happens

    def __call__(self, indices):
        self.asked.append(list(indices))
        found = self.images[indices]
        if self.happens and len(self.asked) == self.at:
            return self.happens(found)
        return found


@pytest.fixture
def images(blobs):
    return blobs(8, SHAPE)


def training_on(images, settings=SETTINGS, validation=VALIDATION, seed=5, **options):
    source = images if isinstance(images, Spy) else Spy(images)
    return Training(source, SHAPE, TRAIN, validation, settings, seed, **options)


def bytes_of(encoder, tmp_path):
    save_encoder(tmp_path / "bytes.pt", encoder)
    return (tmp_path / "bytes.pt").read_bytes()


def bytes_of_state(encoder):
    return [value.numpy().tobytes() for value in encoder.state_dict().values()]


def interrupt(_):
    raise KeyboardInterrupt


class TestResume:
    # 1 call standardises; then two steps and a validation, again and again
    @pytest.mark.parametrize("call", [2, 6, 8, 13])
    def test_same_bytes_as_without_the_interruption(self, images, tmp_path, call):
        whole = training_on(images).run()
        path = tmp_path / "checkpoint.pt"
        with pytest.raises(KeyboardInterrupt):
            training_on(Spy(images, call, interrupt)).run(path, "digest")
        assert path.exists() == (call > 4)
        resumed = training_on(images).run(path, "digest")
        assert bytes_of(resumed.encoder, tmp_path) == bytes_of(whole.encoder, tmp_path)
        assert resumed.history == whole.history
        assert resumed.pairs == whole.pairs == 60
        assert resumed.pairs_here == 60 - 12 * ((call - 2) // 3)

    def test_a_finished_training_is_not_trained_again(self, images, tmp_path):
        path = tmp_path / "checkpoint.pt"
        whole = training_on(images).run(path, "digest")
        spy = Spy(images)
        again = training_on(spy).run(path, "digest")
        assert len(spy.asked) == 1
        assert again.history == whole.history
        assert bytes_of(again.encoder, tmp_path) == bytes_of(whole.encoder, tmp_path)

    def test_another_digest_starts_afresh_and_says_so(self, images, tmp_path, caplog):
        path = tmp_path / "checkpoint.pt"
        with pytest.raises(KeyboardInterrupt):
            training_on(Spy(images, 8, interrupt)).run(path, "digest")
        with caplog.at_level(logging.INFO, logger="lmcore"):
            fresh = training_on(images).run(path, "another")
        assert sum("starts afresh" in message for message in caplog.messages) == 1
        assert fresh.pairs_here == 60
        assert fresh.history == training_on(images).run().history


def test_seed_decides(images, tmp_path):
    one, same, other = (training_on(images, seed=seed).run() for seed in (5, 5, 6))
    assert bytes_of(one.encoder, tmp_path) == bytes_of(same.encoder, tmp_path)
    assert bytes_of(one.encoder, tmp_path) != bytes_of(other.encoder, tmp_path)


def test_learns_to_register(images):
    settings = replace(SETTINGS, pairs=1500, validate_every=300, batch=5, learning_rate=3e-3)
    losses = [row["validation_loss"] for row in training_on(images, settings).run().history]
    before = np.square(images[3] - images[6]).mean()
    assert losses[-1] < 0.6 * before
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("pairing", ["random", "neighbours"])
def test_other_pairings_learn_and_resume(images, tmp_path, pairing):
    settings = replace(
        SETTINGS, pairing=pairing, pairs=400, validate_every=100, batch=5, learning_rate=3e-3
    )
    whole = training_on(images, settings).run()
    per_step = 5 if pairing == "random" else 20
    assert [row["pairs"] for row in whole.history] == [100, 200, 300, 400]
    assert whole.history[-1]["validation_loss"] < whole.history[0]["validation_loss"]
    path, calls = tmp_path / "checkpoint.pt", 2 + 3 * 100 // per_step
    with pytest.raises(KeyboardInterrupt):
        training_on(Spy(images, calls, interrupt), settings).run(path, "digest")
    resumed = training_on(images, settings).run(path, "digest")
    assert resumed.pairs_here < 400
    assert resumed.history == whole.history
    assert bytes_of(resumed.encoder, tmp_path) == bytes_of(whole.encoder, tmp_path)


@pytest.mark.parametrize("match", ["ncc", "mind"])
def test_other_similarities_train(images, match):
    settings = replace(
        SETTINGS, match=match, pairs=600, validate_every=300, batch=5, learning_rate=3e-3
    )
    losses = [row["validation_loss"] for row in training_on(images, settings).run().history]
    assert losses[1] < losses[0] < 1


def test_history(images):
    settings = replace(SETTINGS, pairs=31, validate_every=12)
    rows = training_on(images, settings).run().history
    assert [name for name in rows[0] if name in HISTORY] == list(HISTORY)
    reference = reference_condition_number(SETTINGS.landmarks, 2, SETTINGS.kernel)
    assert rows[0]["relative_kappa"] == pytest.approx(rows[0]["kappa"] / reference)
    assert [row["pairs"] for row in rows] == [12, 24, 36]  # the last step passes the end
    assert [row["epoch"] for row in rows] == [12 / 20, 24 / 20, 36 / 20]
    assert all(row["failures"] == 0 for row in rows)
    training = training_on(images, settings)
    parts = []
    for _ in range(2):
        batch = training.images(next(training.batches))
        training.batches.queue = [*training.images.asked[-1], *training.batches.queue]
        loss, _, kappa, *_ = training.objective(batch, training.encoder(batch))
        parts.append((loss.item(), kappa.item()))
        training.step()
    mean = np.mean(parts, axis=0)
    assert (rows[0]["train_loss"], rows[0]["kappa"]) == pytest.approx(tuple(mean), rel=1e-5)


class TestMaskAndShapes:
    """Eq. 8 and 9 reach the objective and the validation."""

    @staticmethod
    def mask():
        mask = torch.zeros(1, 1, *SHAPE)
        mask[..., 3:10, 8:25] = 0.5
        return mask

    def test_mask_is_that_of_multiplied_images(self, images):
        """As L2 does not see what both images lack; the encoder alone sees the whole image."""
        encoder, some = training_on(images).encoder.eval(), torch.from_numpy(images[:4])
        found = Registrar(SHAPE).register(some, encoder(some))
        difference = found.registered - some[:, None]
        values = (difference * self.mask()).square().flatten(2).mean(-1)
        expected = values[~torch.eye(4, dtype=torch.bool)].mean().item()
        for mask in (self.mask(), self.mask()[0, 0]):
            loss, _ = evaluate(encoder, some, SETTINGS, torch.device("cpu"), mask)
            assert loss == pytest.approx(expected, rel=1e-5)

    def test_training_sees_the_mask(self, images):
        plain = training_on(images).run().history
        masked = training_on(images, mask=self.mask()).run().history
        for name in ("train_loss", "validation_loss"):
            assert all(a[name] < b[name] for a, b in zip(masked, plain, strict=True))

    @pytest.mark.parametrize("recipe", RECIPES)
    def test_shapes_weigh_in_the_validation_as_in_training(self, images, recipe):
        def shapes(indices):
            found = 3.0 * torch.from_numpy(images[indices] > 0.4)
            return found, torch.ones(len(indices), dtype=torch.bool)

        settings = replace(SETTINGS, supervision=0.3, recipe=recipe, pairs=12)
        training = training_on(images, settings, shapes=shapes)
        unit, shape_unit = training.objective.unit, training.objective.shape_unit
        assert (recipe == "paper") == (unit == shape_unit == 1)
        some, cpu = torch.from_numpy(images[VALIDATION]), torch.device("cpu")
        given = (training.encoder, some, settings, cpu, None, Supervision(*shapes(VALIDATION)))
        expected, _ = evaluate(*given, 0.3 * unit / shape_unit)
        assert expected > 1.01 * evaluate(*given[:4])[0]
        assert training.score(VALIDATION)[0] == expected
        training.validate()
        assert training.best == training.history[-1]["validation_loss"] == expected

    def test_shapes(self, images, tmp_path):
        asked = []

        def shapes(indices):
            asked.append(indices)
            found = torch.from_numpy(images[indices] > 0.4).float()
            return found, torch.tensor([index != 4 for index in indices])

        spy = Spy(images)
        options = {"shapes": shapes, "settings": replace(SETTINGS, supervision=0.3)}
        trained = training_on(spy, **options).run()
        assert asked == spy.asked[1:]  # the first were of the intensities alone
        plain = training_on(images).run()
        assert all(row["shape_loss"] > 0 for row in trained.history)
        assert all(row["shape_loss"] == 0 for row in plain.history)
        assert bytes_of(trained.encoder, tmp_path) != bytes_of(plain.encoder, tmp_path)
        # the first step of both is of the same encoder and batch
        terms = []
        for training in (training_on(images, **options), training_on(images)):
            training.step()
            terms.append(training.sums[[0, 2]].tolist())
        (loss, shape), (without, _) = terms
        assert loss == pytest.approx(without + 0.3 * shape, rel=1e-5)

    @pytest.mark.parametrize("recipe", ["paper", "robust"])
    def test_resumes_with_the_same_bytes(self, images, tmp_path, recipe):
        def shapes(indices):
            return torch.from_numpy(images[indices] > 0.4).float(), torch.ones(
                len(indices), dtype=torch.bool
            )

        settings = replace(SETTINGS, supervision=0.3, recipe=recipe)
        options = {"shapes": shapes, "mask": self.mask(), "settings": settings}
        whole = training_on(images, **options).run()
        path = tmp_path / "checkpoint.pt"
        with pytest.raises(KeyboardInterrupt):
            training_on(Spy(images, 8, interrupt), **options).run(path, "digest")
        resumed = training_on(images, **options).run(path, "digest")
        assert resumed.history == whole.history
        assert bytes_of(resumed.encoder, tmp_path) == bytes_of(whole.encoder, tmp_path)


class TestWhatIsSeen:
    def test_weights_and_intensities_come_from_the_training_split(self, images):
        shifted = images + np.arange(8, dtype=np.float32).reshape(-1, 1, 1, 1)
        spy = Spy(shifted)
        training = training_on(spy)
        assert spy.asked == [TRAIN]
        assert training.encoder.intensity_mean.item() == pytest.approx(shifted[TRAIN].mean())
        deviation = training.encoder.intensity_deviation.item()
        assert deviation == pytest.approx(shifted[TRAIN].std(ddof=1), rel=1e-5)
        training.step()
        assert set(spy.asked[1]) <= set(TRAIN)

    def test_test_subjects_never_and_validation_only_to_validate(self, images):
        spy = Spy(images)
        training_on(spy).run()
        validations = [asked for asked in spy.asked if set(asked) & set(VALIDATION)]
        assert validations == [VALIDATION] * 5
        assert {index for asked in spy.asked for index in asked} == {*TRAIN, *VALIDATION}

    def test_validation_images_change_no_step(self, images, tmp_path):
        settings = replace(SETTINGS, pairs=12)
        changed = images.copy()
        changed[VALIDATION + [5]] = images[VALIDATION + [5], :, ::-1]
        one, two = (training_on(data, settings).run() for data in (images, changed))
        assert bytes_of(one.encoder, tmp_path) == bytes_of(two.encoder, tmp_path)
        assert one.history[0]["validation_loss"] != two.history[0]["validation_loss"]


class TestWhatGoesWrong:
    def test_a_step_without_a_finite_gradient_changes_nothing(self, images):
        training = training_on(Spy(images, 4, lambda found: found * float("nan")))
        training.step()
        training.step()
        before = [value.clone() for value in training.encoder.state_dict().values()]
        moments = [
            {name: value.clone() for name, value in state.items()}
            for state in training.optimizer.state.values()
        ]
        training.step()
        after = training.encoder.state_dict().values()
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        for old, new in zip(moments, training.optimizer.state.values(), strict=True):
            assert all(torch.equal(old[name], new[name]) for name in old)
        training.step()
        assert not torch.equal(before[-1], training.encoder.linear[-1].bias)
        training.validate()
        row = training.history[-1]
        assert row["failures"] == 1 + 3  # the step, and its three targets
        assert math.isfinite(row["train_loss"])
        assert math.isfinite(row["validation_loss"])

    def test_collided_landmarks_end_training_with_a_sentence(self, images):
        training = training_on(images, what="training toy", initial_landmarks=torch.zeros(4, 2))
        torch.nn.init.zeros_(training.encoder.linear[-1].weight)
        with pytest.raises(InputError) as raised:
            training.run()
        message = str(raised.value)
        assert message.startswith("training toy broke by step 2: ")
        assert "6 of 6 spline systems were singular" in message
        assert "raise training.regularization or lower training.learning_rate" in message

    def test_without_regularization_it_ends_with_the_best_weights_so_far(self, images, caplog):
        def meet(training):
            torch.nn.init.zeros_(training.encoder.linear[-1].weight)
            torch.nn.init.zeros_(training.encoder.linear[-1].bias)

        settings = replace(SETTINGS, pairs=120, validate_every=24, regularization=0.0)
        training = training_on(images, settings, what="training toy")
        score, kept = training.score, []

        def scored(subjects):
            if kept:
                meet(training)  # after the first validation
            kept.append([value.clone() for value in training.encoder.state_dict().values()])
            return score(subjects)

        training.score = scored
        trained = training.run()
        found = trained.encoder.state_dict().values()
        assert all(torch.equal(a, b) for a, b in zip(found, kept[0], strict=True))
        assert [row["kept"] for row in trained.history] == [1, 0, 0]
        assert trained.history[-1]["failures"] > 0
        assert trained.pairs == 72
        assert "training toy broke by step" in caplog.text
        assert "it ends here, with the best weights so far" in caplog.text

    def test_weights_that_register_nothing_at_the_very_end_are_not_kept(self, images):
        settings = replace(SETTINGS, pairs=24, validate_every=12, recipe="robust")
        training = training_on(images, settings)
        score, kept = training.score, []

        def scored(subjects):
            if kept:
                return math.nan, math.nan
            kept.append([value.clone() for value in training.encoder.state_dict().values()])
            return score(subjects)

        training.score = scored
        trained = training.run()
        found = trained.encoder.state_dict().values()
        assert all(torch.equal(a, b) for a, b in zip(found, kept[0], strict=True))
        assert [row["kept"] for row in trained.history] == [1, 0]

    def test_no_registration_at_all_is_no_best_validation(self, images):
        training = training_on(images, initial_landmarks=torch.zeros(4, 2))
        torch.nn.init.zeros_(training.encoder.linear[-1].weight)
        training.batches.size = 1000  # as if the failures were few
        training.validate()
        assert math.isnan(training.history[0]["validation_loss"])
        assert training.best_state is None

    def test_gradients_are_clipped(self, images):
        training = training_on(images, replace(SETTINGS, regularization=1e6))
        training.step()
        gradients = [parameter.grad for parameter in training.encoder.parameters()]
        assert torch.cat([g.flatten() for g in gradients]).norm().item() == pytest.approx(1, 1e-3)


class TestEarlyStopping:
    def run(self, images, monkeypatch, losses, patience, recipe="paper"):
        states, left = [], iter(losses)

        def evaluate(encoder, *_):
            states.append({name: value.clone() for name, value in encoder.state_dict().items()})
            return next(left), 1.0

        monkeypatch.setattr(trainer, "evaluate", evaluate)
        pairs = 12 * len(losses)
        settings = replace(SETTINGS, pairs=pairs, patience=patience, recipe=recipe)
        return training_on(images, settings).run(), states

    @pytest.mark.parametrize(
        ("losses", "patience", "rows"),
        [
            ([3, 1, 2, 4, 0.5], 2, 4),
            ([3, 1, 2, 4, 0.5], 3, 5),
            ([3, 1, 2, 4, 5], 0, 5),
            ([3, 1, math.nan, math.nan, 0.5], 2, 4),
            ([math.nan] * 4, 2, 4),
        ],
    )
    def test_after_so_many_validations_without_a_better_one(
        self, images, monkeypatch, losses, patience, rows
    ):
        trained, _ = self.run(images, monkeypatch, losses, patience)
        assert len(trained.history) == rows

    @pytest.mark.parametrize(
        ("recipe", "patience", "kept"),
        [("paper", 0, 1), ("paper", 2, 1), ("robust", 2, 1), ("robust", 0, 4)],
    )
    def test_which_weights_are_kept(self, images, monkeypatch, recipe, patience, kept):
        """The best; of a learning rate that has fallen to nothing the last."""
        trained, states = self.run(images, monkeypatch, [3, 1, 2, 4, 5], patience, recipe)
        found = trained.encoder.state_dict()
        for place, state in enumerate(states):
            same = all(torch.equal(value, state[name]) for name, value in found.items())
            assert same == (place == kept)
        rows = range(len(states))
        assert [row["kept"] for row in trained.history] == [int(place == kept) for place in rows]

    def test_without_validation_the_last_weights_are_kept(self, images):
        training = training_on(images, validation=[])
        while training.pairs < SETTINGS.pairs:
            training.step()
        last = bytes_of_state(training.encoder)
        trained = training_on(images, validation=[]).run()
        assert bytes_of_state(trained.encoder) == last
        kept = [row["kept"] for row in trained.history]
        assert kept == [0] * (len(kept) - 1) + [1]


class TestStart:
    def place(self, images, **options):
        return training_on(images, **options).encoder(torch.from_numpy(images))[0]

    def test_recipes(self, images):
        robust = self.place(images, settings=replace(SETTINGS, recipe="robust"))
        torch.testing.assert_close(robust, spread_points(4, 2).float(), atol=0.05, rtol=0)
        paper = self.place(images, settings=replace(SETTINGS, recipe="paper"))
        assert paper.abs().max() < math.tanh(1) + 0.05  # bias U(-1, 1) before tanh
        assert (paper - self.place(images, seed=6)).abs().max() > 0.1

    def test_heads(self, images):
        for recipe, head in (("paper", LandmarkEncoder), ("robust", HeatmapEncoder)):
            settings = replace(SETTINGS, recipe=recipe, stride=1, hidden=6)
            encoder = training_on(images, settings).encoder
            assert type(encoder) is head
            assert encoder.settings["head"] == RECIPES[recipe].head
            assert encoder.settings["stride"] == 1
            assert encoder.settings["widths"] == [2, 2, 2, 2]
            assert encoder.settings["hidden"] == 6

    @pytest.mark.parametrize("recipe", RECIPES)
    def test_given_landmarks(self, images, recipe):
        given = torch.tensor([[0.5, 0.1], [-0.5, 0.2], [0.3, -0.5], [-0.3, -0.6]])
        settings = replace(SETTINGS, recipe=recipe)
        found = self.place(images, initial_landmarks=given.double(), settings=settings)
        torch.testing.assert_close(found, given, atol=0.05, rtol=0)

    def test_the_callers_random_numbers_are_left_alone(self, images):
        torch.manual_seed(0)
        expected = torch.rand(1)
        torch.manual_seed(0)
        training_on(images).step()
        assert torch.rand(1) == expected


def test_evaluate_is_the_loop_on_the_full_grid(images):
    settings = replace(SETTINGS, grid_stride=8)
    encoder, some = training_on(images, settings).encoder.eval(), torch.from_numpy(images[:6])
    loss, kappa = evaluate(encoder, some, settings, torch.device("cpu"))
    found = Registrar(SHAPE).register(some, encoder(some))
    values = ((found.registered - some[:, None]) ** 2).flatten(2).mean(-1)
    different = ~torch.eye(6, dtype=torch.bool)
    assert loss == pytest.approx(values[different].mean().item(), rel=1e-5)
    assert kappa == pytest.approx(found.fitted.condition_number.mean().item(), rel=1e-6)


def test_settings_of_the_configuration():
    model = {"landmarks": 7, "kernel": "thin_plate", "widths": [1, 2, 3, 4], "pretrained": None}
    training = {"pairs": 5, "regularization": {"weights": [1]}, "threads": 2, "patience": 3}
    found = TrainingSettings.of(model, training, 0.25)
    assert found == TrainingSettings(
        landmarks=7,
        kernel="thin_plate",
        widths=(1, 2, 3, 4),
        pairs=5,
        patience=3,
        regularization=0.25,
    )


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (None, (0.0, "distance_transform", 1.0)),
        ({"weight": 0.3}, (0.3, "distance_transform", 1.0)),
        ({"weight": 2, "shape": "segmentation", "share": 0.25}, (2, "segmentation", 0.25)),
        ({"weight": 0.0, "share": 0.5}, (0.0, "distance_transform", 0.5)),
    ],
)
def test_supervision_of_the_configuration(block, expected):
    """And the block `weight` is not lambda, nor the model's shape that of the supervision."""
    model = {"landmarks": 7, "kernel": "paper", "widths": [1, 2, 3, 4], "hidden": 5, "stride": 2}
    training = {"supervision": block, "mask": True, "hide": True, "recipe": "robust"}
    found = TrainingSettings.of(model, training, 1)
    assert (found.supervision, found.shape, found.share) == expected
    assert (found.mask, found.hide, found.recipe) == (True, True, "robust")
    assert found.regularization == 1.0
    assert training["supervision"] == block  # and the configuration is left alone
    del training["supervision"]
    assert TrainingSettings.of(model, training, 1) == replace(
        found, supervision=0.0, shape="distance_transform", share=1.0
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there():
    with pytest.raises(InputError, match=r"training\.gpus is 1, but no CUDA device is visible"):
        replace(SETTINGS, gpus=1).device()


SPLITS = ["train", "train", "train", "validation", "train", "test", "validation", "train"]


class TestTrainEncoder:
    @pytest.fixture
    def train(self, population, tmp_path):
        def run(splits=SPLITS, seed=0, images=0, trained_on="train", **options):
            path, subjects = population(splits, SHAPE, images)
            train_encoder(
                path,
                subjects,
                replace(SETTINGS, subjects=trained_on),
                seed,
                tmp_path / "model/encoder.pt",
                tmp_path / "model/history.csv",
                tmp_path / "model/timings.csv",
                tmp_path / "model/seen.csv",
                tmp_path / "model/checkpoint.pt",
                digest="settings and code",
                **options,
            )
            return tmp_path / "model"

        return run

    def test_what_is_written(self, train):
        folder = train()
        names = {path.name for path in folder.iterdir()}
        assert names == {"encoder.pt", "history.csv", "timings.csv", "seen.csv"}
        encoder, content = load_encoder(folder / "encoder.pt")
        assert encoder.landmarks == 4
        assert content["preprocessing"] == {"size": [16, 32], "intensity": "border"}
        assert content["pairs"] == 60
        history = pd.read_csv(folder / "history.csv")
        assert history["pairs"].tolist() == [12, 24, 36, 48, 60]
        timings = pd.read_csv(folder / "timings.csv").set_index("name")["value"]
        seconds = timings["training_seconds"]
        assert timings["training_pairs_per_second"] == pytest.approx(60 / seconds, rel=1e-4)

    @pytest.mark.parametrize(
        ("images", "afresh"), [(0, False), (1, True)], ids=["same images", "other images"]
    )
    def test_goes_on_with_the_same_population_only(
        self, train, monkeypatch, caplog, images, afresh
    ):
        encoder = train(images=images) / "encoder.pt"
        expected = encoder.read_bytes()
        encoder.unlink()  # as Snakemake does before a job
        step = Training.step

        def interrupted(self):
            if self.steps == 5:
                raise KeyboardInterrupt
            step(self)

        monkeypatch.setattr(Training, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train()
        monkeypatch.undo()
        with caplog.at_level(logging.INFO, logger="lmcore"):
            folder = train(images=images)
        assert any("goes on after 24 pairs" in message for message in caplog.messages) != afresh
        assert any("starts afresh" in message for message in caplog.messages) == afresh
        assert (folder / "encoder.pt").read_bytes() == expected

    @pytest.mark.parametrize(
        ("trained_on", "trains", "validates"),
        [
            ("train", [0, 1, 2, 4, 7], [3, 6]),
            ("all", [0, 1, 2, 3, 4, 5, 6, 7], [3, 6]),  # the paper's, whose weights are chosen so
        ],
    )
    def test_who_trains(self, train, monkeypatch, trained_on, trains, validates):
        monkeypatch.setattr(Training, "step", interrupt)
        seen = []
        start = Training.__init__

        def watched(self, images, shape, train, validation, *rest, **more):
            seen.append((train, sorted(validation)))
            start(self, images, shape, train, validation, *rest, **more)

        monkeypatch.setattr(Training, "__init__", watched)
        with pytest.raises(KeyboardInterrupt):
            train(trained_on=trained_on)
        assert seen == [(trains, validates)]

    @pytest.mark.parametrize("gone", ["encoder.pt", "history.csv", "timings.csv", None])
    def test_what_another_job_finished_is_not_done_again(self, train, monkeypatch, caplog, gone):
        folder = train()
        if gone:
            (folder / gone).unlink()

        def begin(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(Training, "run", begin)
        with caplog.at_level(logging.INFO, logger="lmcore"):
            if gone:
                with pytest.raises(KeyboardInterrupt):
                    train()
            else:
                train()
        said = "training: done by a job of an interrupted run" in caplog.messages
        assert said == (gone is None)
        with pytest.raises(KeyboardInterrupt):  # of other images
            train(images=1)

    @pytest.mark.parametrize("split", ["train", "validation"])
    def test_too_few_subjects(self, train, tmp_path, split):
        splits = [split if name == split else "test" for name in ("train", "validation")]
        other = {"train": "validation", "validation": "train"}[split]
        with pytest.raises(InputError, match=f"split {split} has 1 subjects, 2 are needed"):
            train([*splits, other, other, other])
        assert not (tmp_path / "model").exists()

    @pytest.mark.parametrize("count", [3, 4])
    def test_initial_landmarks_from_a_table(self, train, tmp_path, monkeypatch, count):
        place = torch.tensor([[-0.5, 0.1], [0.5, 0.2], [0.3, -0.7], [-0.3, 0.6]])[:count].double()
        points = np.stack([place - 0.1, place + 0.1])
        numbers, affines = list(range(1, count + 1)), np.stack([np.eye(3)] * 2)
        write_csv(
            tmp_path / "initial.csv", landmark_table(["a", "b"], points, numbers, SHAPE, affines)
        )
        monkeypatch.setattr(Training, "step", interrupt)
        started = []
        monkeypatch.setattr(LandmarkEncoder, "start_from", lambda self, at: started.append(at))
        if count == 4:
            with pytest.raises(KeyboardInterrupt):
                train(initial_landmarks=tmp_path / "initial.csv")
            torch.testing.assert_close(started[-1], place)
        else:
            message = r"initial\.csv has 3 landmarks in 2D, .* set model\.landmarks"
            with pytest.raises(InputError, match=message):
                train(initial_landmarks=tmp_path / "initial.csv")


class TestAdoptEncoder:
    @pytest.fixture
    def adopt(self, population, tmp_path):
        encoder = LandmarkEncoder(SHAPE, 4, widths=(2, 2, 2, 2), hidden=4)
        meta = {"preprocessing": {"size": list(SHAPE), "intensity": "border"}, "kernel": "paper"}
        save_encoder(tmp_path / "trained.pt", encoder, **meta)

        def run(shape=SHAPE, **settings):
            path, subjects = population(["train"] * 2, shape)
            names = ("e.pt", "history.csv", "t.csv", "seen.csv")
            outputs = [tmp_path / "model" / name for name in names]
            model = {"landmarks": 4, "kernel": "paper"} | settings
            adopt_encoder(tmp_path / "trained.pt", path, subjects, model, *outputs)
            return outputs

        return run

    def test_is_the_encoder_that_was_given(self, adopt, tmp_path):
        encoder, history, timings, seen = adopt()
        assert encoder.read_bytes() == (tmp_path / "trained.pt").read_bytes()
        assert history.read_text() == ",".join(HISTORY) + "\n"
        assert timings.read_text() == "name,value,unit,n,ci_low,ci_high\n"
        assert seen.read_text() == "subject\n"

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"shape": (32, 16)}, r"takes images of \(16, 32\), the population has \(32, 16\)"),
            ({"landmarks": 9}, r"with landmarks 4: set model\.landmarks to it \(now 9\)"),
            ({"kernel": "thin_plate"}, r"with kernel paper: set model\.kernel to it"),
        ],
    )
    def test_one_that_does_not_fit(self, adopt, tmp_path, change, message):
        with pytest.raises(InputError, match=message):
            adopt(**change)
        assert not (tmp_path / "model").exists()
