"""Experiments in which leaks are planted."""

from collections.abc import Callable
from pathlib import Path

from experiment import Experiment
from sandbox import Ended, run, run_script

from lmcore.discovery.encoder_file import read_tensors

FOLDS = 2


class Leaky(Experiment):
    """An experiment with lambda's choice and the table of numbers, in which a leak is planted.

    Arguments:
        plant: called in every job's process before its work.
    """

    def __init__(
        self, folder: Path, population: Path, plant: Callable[[], None] = lambda: None, **training
    ):
        super().__init__(folder, population, **training)
        self.plant = plant

    def _job(self, *arguments, **named) -> Callable[[], None]:
        job = super()._job(*arguments, **named)

        def work() -> None:
            self.plant()
            job()

        return work

    def cross_validation_job(self, fold: int) -> Callable[[], None]:
        name = f"cross_validation/weight0_fold{fold}"
        training = self.training | {"pairs": 48}
        return self._job(
            "cross_validate_regularization",
            {"population": "population.h5", "subjects": "subjects.csv"},
            {"score": f"{name}.csv", "seen": f"{name}.seen.csv"},
            {"model": self.model, "training": training, "folds": FOLDS},
            {"initial": []},
            weight=0,
            fold=fold,
        )

    def everything(self) -> dict[str, bytes]:
        """All stages; what they made, but for landmarks, which are of test subjects, too.

        Of the encoder without the digest of its inputs, the tested images among them.
        """
        for fold in range(FOLDS):
            assert run(self.cross_validation_job(fold)).code == 0
        assert self.train().code == 0
        self.landmarks()
        assert run(self.ranking_job()).code == 0
        names = ["model/history.csv", "landmarks/importance.csv"]
        names += [f"cross_validation/weight0_fold{fold}.csv" for fold in range(FOLDS)]
        encoder = read_tensors(self.folder / "model/encoder.pt")
        weights = b"".join(value.numpy().tobytes() for value in encoder.pop("state").values())
        del encoder["digest"]
        made = {"model/encoder.pt": weights, "model/settings": repr(encoder).encode()}
        return made | {name: (self.folder / name).read_bytes() for name in names}

    def records(self) -> list[Path]:
        """Whose images each stage has read."""
        return sorted(self.folder.rglob("*seen.csv"))

    def numbers(self) -> Ended:
        """The table of numbers, before which the guard stands."""
        part = self.folder / "part.numbers.csv"
        part.write_text("name,value,unit,n,ci_low,ci_high\nx,1,,3,,\n")
        paper = self.folder / "paper.csv"
        paper.write_text("experiment,name,value,unit,source\n")
        files = {"numbers": [part], "timings": [part], "regularization": [], "seen": self.records()}
        files |= {"subjects": self.folder / "subjects.csv", "paper_values": paper}
        params = {"experiment": "mine", "trained_on": self.trained_on, "person_column": None}
        made = {name: self.folder / f"{name}.csv" for name in ("numbers", "timings")}
        log = self.folder / "logs/tabulate_numbers.log"
        ended = run(lambda: run_script("tabulate_numbers", log, files, made, params))
        return Ended(ended.code, log.read_text(), ended.peak, ended.seconds)
