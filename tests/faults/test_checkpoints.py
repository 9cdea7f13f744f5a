"""Interrupted trainings that do not fit

A training is killed after its second checkpoint, something changes, and it is started again. It
says so in one line, starts afresh, and ends with the bytes of a run that was never interrupted.
"""

import os
import pickle
import signal
import zipfile
from pathlib import Path

import h5py
import pytest
import torch
from experiment import RECIPES, Experiment, prepared
from sandbox import run
from test_bad_models import Harm

from lmcore.discovery import trainer


@pytest.fixture(scope="module")
def population(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("population") / "user")


def interrupted(experiment: Experiment, checkpoints: int) -> None:
    """Kill a training when it has written so many checkpoints."""
    job, save = experiment.training_job(), trainer.save_checkpoint
    left = [checkpoints]

    def work() -> None:
        def save_and_die(*arguments: object) -> None:
            save(*arguments)
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

        trainer.save_checkpoint = save_and_die
        job()

    assert run(work).code == -signal.SIGKILL
    assert experiment.checkpoint.exists()


def other_rate(experiment: Experiment) -> None:
    experiment.training = experiment.training | {"learning_rate": 2e-3}


def other_seed(experiment: Experiment) -> None:
    experiment.seed = 2


def other_code(experiment: Experiment) -> None:
    experiment.code = "other"


def other_population(experiment: Experiment) -> None:
    with h5py.File(experiment.folder / "population.h5", "r+") as file:
        file["image"][0] = 1 - file["image"][0]


def other_splits(experiment: Experiment) -> None:
    path = experiment.folder / "subjects.csv"
    names = {"train": "validation", "validation": "test", "test": "train"}
    lines = [
        ",".join(names.get(cell, cell) for cell in line.split(","))
        for line in path.read_text().splitlines()
    ]
    path.write_text("\n".join(lines) + "\n")


def flip(experiment: Experiment) -> None:
    """One bit of a weight."""
    with zipfile.ZipFile(experiment.checkpoint) as archive:
        largest = max(archive.filelist, key=lambda part: part.file_size)
        place = largest.header_offset + 200
    content = bytearray(experiment.checkpoint.read_bytes())
    content[place] ^= 1
    experiment.checkpoint.write_bytes(content)


def cut(experiment: Experiment) -> None:
    content = experiment.checkpoint.read_bytes()
    experiment.checkpoint.write_bytes(content[: len(content) // 2])


def hostile(experiment: Experiment) -> None:
    experiment.checkpoint.write_bytes(
        pickle.dumps({"digest": Harm(experiment.folder / "harm")}, protocol=2)
    )


def foreign(experiment: Experiment) -> None:
    torch.save([1, 2], experiment.checkpoint)


def without_digest(experiment: Experiment) -> None:
    content = torch.load(experiment.checkpoint, weights_only=True)
    del content["digest"]
    torch.save(content, experiment.checkpoint)


CHANGES = {
    "another learning rate": (other_rate, "other settings, code or population"),
    "another seed": (other_seed, "other settings, code or population"),
    "another version of the code": (other_code, "other settings, code or population"),
    "another image in the population": (other_population, "other settings, code or population"),
    "other splits": (other_splits, "other settings, code or population"),
    "one bit of the checkpoint flipped": (flip, "cannot be read"),
    "the checkpoint cut at half": (cut, "cannot be read"),
    "a pickle that runs code for a checkpoint": (hostile, "cannot be read"),
    "a foreign file for a checkpoint": (foreign, "cannot be read"),
    "a checkpoint without its digest": (without_digest, "cannot be read"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_starts_afresh_and_says_so(tmp_path, population, change, survived):
    alter, words = CHANGES[change]
    experiment = Experiment(tmp_path / "interrupted", population)
    interrupted(experiment, 2)
    alter(experiment)
    assert experiment.train().code == 0
    said = [line for line in experiment.log("train_encoder").splitlines() if "afresh" in line]
    assert len(said) == 1
    assert words in said[0]
    assert "goes on after" not in experiment.log("train_encoder")
    undisturbed = Experiment(tmp_path / "undisturbed", population)
    alter_fresh(undisturbed, alter)
    assert undisturbed.train().code == 0
    assert "afresh" not in undisturbed.log("train_encoder")
    assert experiment.results() == undisturbed.results()
    assert not experiment.checkpoint.exists()
    assert not (experiment.folder / "harm").exists()
    survived(change, said[0].replace(f"{experiment.folder}/", ""))


def alter_fresh(experiment: Experiment, alter) -> None:
    """The same change where there is no checkpoint."""
    if alter in (other_rate, other_seed, other_code, other_population, other_splits):
        alter(experiment)


@pytest.mark.sample
@pytest.mark.parametrize("recipe", RECIPES)
def test_one_that_fits_goes_on(tmp_path, population, recipe, survived):
    """Without which all of the above would be no news."""
    experiment = Experiment(tmp_path / "interrupted", population, recipe=recipe)
    interrupted(experiment, 3)
    assert experiment.train().code == 0
    (said,) = [line for line in experiment.log("train_encoder").splitlines() if "goes on" in line]
    assert "216" in said.replace(",", "")
    undisturbed = Experiment(tmp_path / "undisturbed", population, recipe=recipe)
    assert undisturbed.train().code == 0
    assert experiment.results() == undisturbed.results()
    survived(f"nothing, with the {recipe} recipe", said)


def test_what_is_not_a_checkpoint_at_all(tmp_path, population, survived):
    """A folder of its name cannot be replaced: the error names it."""
    experiment = Experiment(tmp_path / "one", population)
    experiment.checkpoint.mkdir(parents=True)
    (experiment.checkpoint / "mine.txt").write_text("mine")
    assert experiment.train().code == 1
    log = experiment.log("train_encoder")
    assert "checkpoint.pt" in log
    assert (experiment.checkpoint / "mine.txt").read_text() == "mine"
    assert [Path(entry).name for entry in os.listdir(experiment.folder / "model")] == [
        "checkpoint.pt"
    ]
    survived("a folder in the checkpoint's place", "an error that names it; it is left alone")
