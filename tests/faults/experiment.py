"""A tiny experiment whose stages are run one by one, by the rules' own scripts."""

import shutil
from collections.abc import Callable
from pathlib import Path

from sandbox import Ended, run, run_script
from users import Sandbox

MODEL = {"landmarks": 4, "kernel": "paper", "widths": [4, 4, 4, 4], "hidden": 8, "stride": 1}
TRAINING = {
    "recipe": "paper",
    "regularization": 1e-4,
    "pairs": 720,
    "validate_every": 72,
    "batch": 4,
    "learning_rate": 1e-3,
    "threads": 1,
}
RECIPES = ("paper", "robust")
SUBJECTS = 12


def prepared(folder: Path, dimension: int = 2) -> Path:
    """Build a population of 12 subjects; the folder with it and its table."""
    folder.mkdir(parents=True)
    sandbox = Sandbox(folder, dimension, SUBJECTS)
    sandbox.write_table()
    ended = sandbox.preprocess()
    assert ended.code == 0, ended
    return sandbox.results


class Experiment:
    """Results of one run in a folder of its own.

    Arguments:
        folder: an empty one.
        population: where population.h5 and subjects.csv are; they are copied.
        training: keys of the block `training` that differ from TRAINING.
    """

    def __init__(self, folder: Path, population: Path, **training: object):
        self.folder, self.training = folder, TRAINING | training
        self.model, self.seed, self.code, self.initial = dict(MODEL), 1, "code", None
        self.trained_on, self.threads = self.training.get("subjects", "train"), 1
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("population.h5", "subjects.csv"):
            shutil.copy(population / name, folder / name)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "model/checkpoint.pt"

    def log(self, script: str) -> str:
        """What a stage has logged."""
        return (self.folder / f"logs/{script}.log").read_text(encoding="utf-8")

    def train(self, **limits: object) -> Ended:
        return run(self.training_job(), **limits)

    def training_job(self) -> Callable[[], None]:
        made = {
            "encoder": "encoder.pt",
            "history": "history.csv",
            "timings": "timings.csv",
            "seen": "seen.csv",
        }
        return self._job(
            "train_encoder",
            {"population": "population.h5", "subjects": "subjects.csv"},
            {name: f"model/{file}" for name, file in made.items()},
            {"model": self.model, "training": self.training, "code": self.code},
            {"regularization": [], "pretrained": [], "initial": self.initial or []},
        )

    def discover(self) -> Ended:
        return run(
            self._job(
                "discover_landmarks",
                {"population": "population.h5", "encoder": "model/encoder.pt"},
                {"landmarks": "landmarks/all.csv", "timings": "landmarks/timings.csv"},
                {},
            )
        )

    def ranking_job(self) -> Callable[[], None]:
        return self._job(
            "rank_landmarks",
            {
                "population": "population.h5",
                "subjects": "subjects.csv",
                "landmarks": "landmarks/all.csv",
            },
            {"importance": "landmarks/importance.csv", "seen": "landmarks/seen.csv"},
            {"kernel": "paper", "region": False, "trained_on": self.trained_on},
        )

    def _job(
        self, script, inputs, outputs, params, more_inputs=None, **wildcards
    ) -> Callable[[], None]:
        """A stage's script; files are relative to the experiment's folder."""

        def below(paths: dict) -> dict:
            return {name: self.folder / path for name, path in paths.items()}

        def work() -> None:
            run_script(
                script,
                self.folder / f"logs/{script}.log",
                below(inputs) | (more_inputs or {}),
                below(outputs),
                {"seed": self.seed, "threads": self.threads, "person_column": None} | params,
                **wildcards,
            )

        return work

    def landmarks(self) -> bytes:
        """The landmarks of all subjects, as bytes."""
        ended = self.discover()
        assert ended.code == 0, ended
        return (self.folder / "landmarks/all.csv").read_bytes()

    def results(self) -> dict[str, bytes]:
        """What a training makes that has no times in it, and the landmarks that come of it."""
        names = ("model/encoder.pt", "model/history.csv")
        found = {name: (self.folder / name).read_bytes() for name in names}
        return found | {"landmarks/all.csv": self.landmarks()}
