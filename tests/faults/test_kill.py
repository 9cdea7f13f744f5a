"""Killed jobs

SIGKILL, which no program can catch, to a job of a tiny experiment at moments that seeds choose:
at any time, and in the middle of writing. The job is then started again. What it makes has the
bytes of a run that was never disturbed, and no unfinished file stays behind.
"""

import os
import random
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from experiment import RECIPES, SUBJECTS, Experiment, prepared
from sandbox import run
from users import Sandbox

from lmcore.discovery import redundancy, trainer
from lmcore.population import build_images, build_volumes

MOMENTS = 20


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def half(path: Path, content: bytes) -> None:
    """Write the first half of a file, and die."""
    with open(path, "wb") as file:
        file.write(content[: len(content) // 2])
    die()


def dying(job: Callable[[], object], place: object, name: str, call: int, how: str) -> Callable:
    """The job, killed at one call of a function: before it, after it, or in its midst."""

    def work() -> None:
        original, left = getattr(place, name), [call]

        def patched(*arguments: object, **named: object) -> object:
            left[0] -= 1
            if left[0] == 0 and how != "after":
                (half if how == "midst" else die)(*arguments)
            result = original(*arguments, **named)
            if left[0] == 0:
                die()
            return result

        setattr(place, name, patched)
        job()

    return work


WRITING = {
    "before it begins to write file {}": (tempfile, "mkstemp", "before"),
    "in the middle of writing file {}": (Path, "write_bytes", "midst"),
    "before file {} takes its name": (os, "replace", "before"),
    "after file {} has its name": (os, "replace", "after"),
}


def moments(files: int, binary: int, seed: int) -> list[tuple[str, tuple, int]]:
    """Of MOMENTS, those while files are written: in words, where, and at which call.

    Arguments:
        files: that the job writes; binary: how many of them are written in one piece.
    """
    drawn = random.Random(seed)
    found = []
    for number in range(MOMENTS // 2):
        words = list(WRITING)[number % len(WRITING)]
        call = drawn.randint(1, binary if "middle" in words else files)
        found.append((words.format(call), WRITING[words], call))
    return found


@pytest.fixture(scope="module")
def population(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("population") / "user")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, population):
    """Results of trainings that nobody killed, and the seconds of one, by their recipe."""
    found = {}
    for recipe in RECIPES:
        experiment = Experiment(tmp_path_factory.mktemp(recipe), population, recipe=recipe)
        ended = experiment.train()
        assert ended.code == 0, ended
        found[recipe] = experiment.results(), ended.seconds
    assert found["paper"][0] != found["robust"][0]
    return found


def finishes(experiment: Experiment, expected: dict[str, bytes]) -> None:
    """Train again, to the end."""
    ended = experiment.train()
    assert ended.code == 0, ended
    assert experiment.results() == expected
    left = {entry.name for entry in (experiment.folder / "model").iterdir()}
    assert left == {"encoder.pt", "history.csv", "timings.csv", "seen.csv"}


@pytest.mark.sample
@pytest.mark.parametrize("number", range(MOMENTS // 2))
def test_training_while_it_writes(tmp_path, population, undisturbed, number, survived):
    """Ten checkpoints, then whom it saw, history, timings and encoder: 14 files."""
    recipe = RECIPES[number // 4 % 2]
    words, (place, name, how), call = moments(14, 11, seed=1)[number]
    experiment = Experiment(tmp_path / "run", population, recipe=recipe)
    ended = run(dying(experiment.training_job(), place, name, call, how))
    assert ended.code == -signal.SIGKILL
    finishes(experiment, undisturbed[recipe][0])
    survived(f"training ({recipe}) killed {words} of 14", "the same bytes")


@pytest.mark.parametrize("number", range(MOMENTS // 2))
def test_training_at_any_time(tmp_path, population, undisturbed, number, survived):
    recipe = RECIPES[number % 2]
    expected, seconds = undisturbed[recipe]
    share = random.Random(100 + number).uniform(0.05, 0.95)
    experiment = Experiment(tmp_path / "run", population, recipe=recipe)
    assert experiment.train(seconds=share * seconds).code in (-signal.SIGKILL, 0)
    finishes(experiment, expected)
    survived(f"training ({recipe}) killed after {share:.0%} of its time", "the same bytes")


@pytest.mark.sample
def test_training_again_and_again(tmp_path, population, undisturbed, survived):
    """Killed at every second checkpoint, each time it is started."""
    experiment = Experiment(tmp_path / "run", population)
    for _ in range(5):
        job = dying(experiment.training_job(), trainer, "save_checkpoint", 2, "after")
        assert run(job).code == -signal.SIGKILL
    finishes(experiment, undisturbed["paper"][0])
    survived("training killed five times, at every second checkpoint", "the same bytes")


@pytest.mark.parametrize("number", range(MOMENTS))
def test_redundancy_removal(tmp_path_factory, ranked, number, survived):
    experiment, expected = ranked
    output = experiment.folder / "landmarks/importance.csv"
    output.unlink(missing_ok=True)
    drawn = random.Random(number)
    if number % 4:
        words, call = "at removal {}", drawn.randint(1, 16)
        job = dying(experiment.ranking_job(), redundancy.Target, "losses_without", call, "before")
    else:
        words, (place, name, how) = list(WRITING.items())[(0, 2, 3)[number // 4 % 3]]
        call, job = 1, dying(experiment.ranking_job(), place, name, 1, how)
    assert run(job).code == -signal.SIGKILL
    assert run(experiment.ranking_job()).code == 0
    assert output.read_bytes() == expected
    left = {entry.name for entry in output.parent.iterdir()}
    assert left == {"all.csv", "timings.csv", "importance.csv", "seen.csv"}
    survived(f"redundancy removal killed {words.format(call)}", "the same bytes")


@pytest.fixture(scope="module")
def ranked(tmp_path_factory, population):
    """An experiment with landmarks, and the importance of these."""
    experiment = Experiment(tmp_path_factory.mktemp("ranked"), population)
    assert experiment.train().code == 0
    experiment.landmarks()
    assert run(experiment.ranking_job()).code == 0
    return experiment, (experiment.folder / "landmarks/importance.csv").read_bytes()


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("number", range(MOMENTS // 2))
def test_building_a_population(tmp_path, built, dimension, number, survived):
    sandbox = Sandbox(tmp_path, dimension, SUBJECTS)
    sandbox.write_table()
    drawn = random.Random(number)
    module = {2: build_images, 3: build_volumes}[dimension]
    if number % 2:
        words, call = "at subject {}", drawn.randint(1, SUBJECTS)
        job = dying(sandbox.preprocessing_job(), module, "_prepare", call, "before")
    else:
        words = list(WRITING)[(0, 2, 3)[number // 2 % 3]]
        call = drawn.randint(1, 2)
        job = dying(sandbox.preprocessing_job(), *WRITING[words][:2], call, WRITING[words][2])
    assert run(job).code == -signal.SIGKILL
    assert sandbox.preprocess().code == 0
    for name, content in built[dimension].items():
        assert (sandbox.results / name).read_bytes() == content
    assert {entry.name for entry in sandbox.results.iterdir()} == {*built[dimension], "logs"}
    survived(f"building a {dimension}D population killed {words.format(call)}", "the same bytes")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Content of population.h5 and subjects.csv that nobody disturbed, by dimension."""
    found = {}
    for dimension in (2, 3):
        folder = prepared(tmp_path_factory.mktemp("built") / "user", dimension)
        names = ("population.h5", "subjects.csv")
        found[dimension] = {name: (folder / name).read_bytes() for name in names}
    return found
