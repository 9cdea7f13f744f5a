"""Leaks

The guard in the pipeline: every stage that fits anything writes down whose images it read, by
their content, and no numbers are written if a subject of test or held_out is among them. The
guard in the tests: the images of the test subjects are exchanged for others, and every byte that
normalisation, the choice of lambda, training and redundancy removal make has to stay the same.
Both have to catch a leak that is planted in each of these stages.
"""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from experiment import SUBJECTS, prepared
from leaky import Leaky
from sandbox import run
from users import assert_refused

from lmcore.discovery import redundancy, stages


@pytest.fixture(scope="module")
def population(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("population") / "user")


def subjects_of_test(population: Path) -> list[str]:
    """Subjects of the split test."""
    table = pd.read_csv(population / "subjects.csv")
    return table.loc[table["split"] == "test", "subject"].tolist()


def exchanged(population: Path, folder: Path) -> Path:
    """A population of which every test subject has another image."""
    folder.mkdir()
    for name in ("population.h5", "subjects.csv"):
        shutil.copy(population / name, folder / name)
    splits = pd.read_csv(folder / "subjects.csv")["split"]
    with h5py.File(folder / "population.h5", "r+") as file:
        for row in np.flatnonzero(splits == "test"):
            file["image"][row] = np.flip(1 - file["image"][row], axis=-1)
    return folder


def leak_into_training() -> None:
    honest = stages.indices_of

    def leaky(population, splits, split, at_least):
        found = honest(population, splits, split, at_least)
        return found + honest(population, splits, "test", 2) if split == "train" else found

    stages.indices_of = leaky


def leak_into_validation() -> None:
    stages.fixed_subset = lambda indices, count, seed: list(range(SUBJECTS))


def leak_into_ranking() -> None:
    honest = redundancy.fixed_subset
    redundancy.fixed_subset = lambda indices, *more: honest(list(range(SUBJECTS)), *more)


# What plants it, the record of the stage that has to tell, and what this stage makes
PLANTS = {
    "the choice of lambda": (leak_into_training, "cross_validation/weight0_fold1.seen.csv"),
    "training": (leak_into_training, "model/seen.csv"),
    "the validation that ends training": (leak_into_validation, "model/seen.csv"),
    "redundancy removal": (leak_into_ranking, "landmarks/seen.csv"),
}


@pytest.mark.sample
def test_without_a_leak(tmp_path, population, survived):
    honest = Leaky(tmp_path / "one", population)
    other = Leaky(tmp_path / "other", exchanged(population, tmp_path / "exchanged"))
    assert honest.everything() == other.everything()
    ended = honest.numbers()
    assert ended.code == 0, ended
    survived(
        "none; the test subjects' images are exchanged for others",
        "the same bytes of lambda's scores, encoder, history and importance; there are numbers",
    )


@pytest.mark.sample
@pytest.mark.parametrize("where", PLANTS)
def test_a_planted_leak_is_caught(tmp_path, population, where, survived):
    plant, record = PLANTS[where]
    one = Leaky(tmp_path / "one", population, plant)
    other = Leaky(tmp_path / "other", exchanged(population, tmp_path / "exchanged"), plant)
    made, made_of_others = one.everything(), other.everything()
    stage = record.split("/")[0]
    assert any(made[name] != made_of_others[name] for name in made if name.startswith(stage))
    for path in one.records():  # the other stages' may tell the same leak first
        if path != one.folder / record:
            path.unlink()
    line = assert_refused(one.numbers(), subjects_of_test(population)[0])
    assert record in line
    assert not (one.folder / "numbers.csv").exists()
    survived(f"test subjects in {where}", line.removeprefix("error: "))


@pytest.mark.sample
def test_an_encoder_that_is_cross_fitted(tmp_path, population, survived):
    """Whoever is in its fold is unseen, whatever the table's splits say."""
    experiment = Leaky(tmp_path / "one", population, subjects={"fold": 1, "folds": 3})
    experiment.everything()
    assert experiment.numbers().code == 0
    experiment.trained_on = "train"
    assert run(experiment.ranking_job()).code == 0
    experiment.trained_on = {"fold": 1, "folds": 3}
    line = assert_refused(experiment.numbers(), "landmarks/seen.csv")
    survived("subjects of a fold in redundancy removal", line.removeprefix("error: "))
