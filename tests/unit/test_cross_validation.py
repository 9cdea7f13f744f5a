import logging
from dataclasses import replace

import pandas as pd
import pytest
import torch

from lmcore.discovery.cross_validation import cross_validate, select_regularization, split_folds
from lmcore.discovery.settings import TrainingSettings
from lmcore.discovery.stages import cross_validate_regularization
from lmcore.discovery.trainer import LandmarksMetError, Training, evaluate
from lmcore.errors import InputError

SHAPE = (16, 32)
INDICES = [1, 2, 4, 5, 7, 8, 9]
SETTINGS = TrainingSettings(
    landmarks=4,
    regularization=1e-5,
    widths=(2, 2, 2, 2),
    hidden=4,
    pairs=24,
    validate_every=24,
    batch=3,
)


def test_folds_share_nobody_and_leave_nobody_out():
    folds = split_folds(INDICES, 3, seed=4)
    assert sorted(sum(folds, [])) == INDICES
    assert [len(fold) for fold in folds] == [3, 2, 2]
    assert split_folds(INDICES, 3, seed=4) == folds
    assert split_folds(INDICES, 3, seed=5) != folds


class TestCrossValidate:
    def run(self, blobs, fold=1, settings=SETTINGS):
        images, asked = torch.from_numpy(blobs(10, SHAPE)), []

        def spy(indices):
            asked.append(list(indices))
            return images[indices]

        row = cross_validate(spy, SHAPE, INDICES, settings, fold, 3, 4, None, "trial")
        return row, asked, images

    def test_the_held_out_fold_is_seen_only_to_score(self, blobs):
        for fold, held_out in enumerate(split_folds(INDICES, 3, seed=4)):
            _, asked, _ = self.run(blobs, fold)
            *training, last = asked
            assert last == held_out
            assert {index for batch in training for index in batch} == {*INDICES} - {*held_out}

    def test_same_folds_for_every_weight(self, blobs):
        weights = (1e-7, 1e-3)
        runs = [self.run(blobs, settings=replace(SETTINGS, regularization=w)) for w in weights]
        assert runs[0][1] == runs[1][1]
        assert [row["weight"] for row, *_ in runs] == list(weights)
        assert runs[0][0]["registration_loss"] != runs[1][0]["registration_loss"]

    def test_score_is_that_of_the_trained_encoder(self, blobs):
        row, asked, images = self.run(blobs)
        rest = [index for index in INDICES if index not in asked[-1]]
        training = Training(images.__getitem__, SHAPE, rest, [], SETTINGS, 4)
        trained = training.run()
        loss, kappa = evaluate(trained.encoder, images[asked[-1]], SETTINGS, torch.device("cpu"))
        assert row == {
            "weight": 1e-5,
            "fold": 1,
            "registration_loss": loss,
            "condition_number": kappa,
        }
        assert trained.pairs == 24

    def test_a_weight_with_which_training_breaks_has_no_score(self, blobs, monkeypatch, caplog):
        def broken(self):
            raise LandmarksMetError("landmarks met")

        monkeypatch.setattr(Training, "run", broken)
        with caplog.at_level(logging.INFO, logger="lmcore"):
            row, *_ = self.run(blobs)
        assert pd.isna([row["registration_loss"], row["condition_number"]]).all()
        assert caplog.messages == ["no score for the weight 1e-05: landmarks met"]


class TestSelect:
    def scores(self, **losses):
        rows = [
            {"weight": float(weight), "fold": fold, "registration_loss": loss}
            for weight, folds in losses.items()
            for fold, loss in enumerate(folds)
        ]
        return pd.DataFrame(rows).sample(frac=1, random_state=0)

    def test_lowest_mean(self):
        scores = self.scores(**{"1e-3": [1, 6], "1e-4": [3, 2], "1e-5": [1, 5]})
        assert select_regularization(scores) == {
            "weight": 1e-4,
            "registration_loss": 2.5,
            "at_grid_end": False,
        }

    def test_larger_weight_of_equals(self):
        scores = self.scores(**{"1e-2": [9, 9], "1e-4": [3, 2], "1e-3": [2, 3], "1e-5": [4, 4]})
        assert select_regularization(scores)["weight"] == 1e-3

    @pytest.mark.parametrize("best", ["1e-3", "1e-5"])
    def test_the_end_of_the_grid_is_pointed_out(self, best, caplog):
        scores = self.scores(**({"1e-3": [4], "1e-4": [3], "1e-5": [4]} | {best: [1]}))
        with caplog.at_level(logging.INFO, logger="lmcore"):
            assert select_regularization(scores)["at_grid_end"]
        *losses, end = caplog.messages
        assert len(losses) == 3
        assert f"regularization {float(best):g}: mean registration loss 1.0" in " ".join(losses)
        assert f"{float(best):g} is at the end of its grid (1e-05 to 0.001)" in end

    def test_a_weight_that_broke_in_a_fold_is_out(self):
        nan = float("nan")
        scores = self.scores(**{"1e-3": [4, 4], "1e-4": [3, 3], "1e-5": [1, nan]})
        assert select_regularization(scores)["weight"] == 1e-4
        with pytest.raises(InputError, match=r"training\.regularization\.weights: add larger"):
            select_regularization(self.scores(**{"1e-3": [4, nan], "1e-4": [nan, 3]}))


class TestStage:
    def test_one_row(self, population, tmp_path):
        path, subjects = population(["train"] * 4 + ["test", "validation"], SHAPE)
        output, seen = tmp_path / "score.csv", tmp_path / "seen.csv"
        cross_validate_regularization(path, subjects, SETTINGS, 1, 2, 3, output, seen)
        assert pd.read_csv(seen)["subject"].tolist() == ["s00", "s01", "s02", "s03"]
        table = pd.read_csv(output)
        assert list(table) == ["weight", "fold", "registration_loss", "condition_number"]
        assert table[["weight", "fold"]].to_numpy().tolist() == [[1e-5, 1]]
        assert (table[["registration_loss", "condition_number"]] > 0).all(axis=None)

    def test_two_subjects_a_fold_are_needed(self, population, tmp_path):
        path, subjects = population(["train"] * 5 + ["test"], SHAPE)
        files = tmp_path / "s.csv", tmp_path / "seen.csv"
        with pytest.raises(InputError, match="split train has 5 subjects, 6 are needed"):
            cross_validate_regularization(path, subjects, SETTINGS, 0, 3, 3, *files)
        assert not (tmp_path / "s.csv").exists()
