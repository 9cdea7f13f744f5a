"""A user's folder of images, what a user does with it, and how a fault has to end."""

import csv
from collections.abc import Callable
from pathlib import Path

import bad_images
import bad_volumes
from damage import Fault
from PIL import Image
from sandbox import Ended, error_lines, files_below, run, run_command, run_script

from lmcore.population.table import file_part

# What an image of a few thousand pixels may cost, and seconds that its refusal may take.
PEAK, SECONDS = 150_000_000, 10
SHARES = {"train": 0.34, "validation": 0.33, "test": 0.33}
SETTINGS = {2: {"size": [32, 32]}, 3: {"size": [16, 16, 16]}}


class Sandbox:
    """A user's folder `data`, and beside it what none of its files may lead to.

    Arguments:
        folder: an empty one.
        dimension: of the images.
        count: of subjects.
    """

    def __init__(self, folder: Path, dimension: int, count: int = 6):
        self.folder, self.dimension = folder, dimension
        self.data, self.results = folder / "data", folder / "results"
        for path in (self.data, self.results, folder / "tmp"):
            path.mkdir()
        Image.fromarray(bad_images.blob()).save(folder / "secret.png")
        (folder / "secret").write_bytes(bad_volumes.good("nii"))
        bad_volumes.write_h5(folder / "secret.h5", image=bad_volumes.solid())
        self.rows = [self._good(f"s{number:02d}", number) for number in range(count)]

    def _good(self, subject: str, number: int) -> dict[str, str]:
        if self.dimension == 2:
            Image.fromarray(bad_images.blob(number)).save(self.data / f"{subject}.png")
            return {"subject": subject, "image": f"{subject}.png"}
        path = self.data / f"{subject}.nii.gz"
        path.write_bytes(bad_volumes.nifti_of(bad_volumes.solid(number), packed=True))
        return {"subject": subject, "image": path.name}

    def spoil(self, fault: Fault) -> Path:
        """Put a faulty image in the place of s03's, in folder and table; its path."""
        (self.data / self.rows[3]["image"]).unlink()
        self.rows[3] = {"subject": "s03", "image": fault.name, **fault.columns}
        path = self.data / file_part(fault.name)
        fault.write(path)
        return path

    def write_table(self) -> Path:
        names = dict.fromkeys(name for row in self.rows for name in row)
        path = self.data / "subjects.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(names), restval="")
            writer.writeheader()
            writer.writerows(self.rows)
        return path

    def preprocess(self, pretrained: Path | None = None) -> Ended:
        """Run the rule's script on the table; what it logs is the output."""
        ended = run(self.preprocessing_job(pretrained))
        text = self.preprocessing_log.read_text(encoding="utf-8")
        return Ended(ended.code, text, ended.peak, ended.seconds)

    @property
    def preprocessing_log(self) -> Path:
        return self.results / "logs/preprocess_population.log"

    def preprocessing_job(
        self, pretrained: Path | None = None, **settings: object
    ) -> Callable[[], None]:
        """What `preprocess` runs; `settings` are more keys of the block `preprocess`."""

        def work() -> None:
            run_script(
                "preprocess_population",
                self.preprocessing_log,
                {"table": self.data / "subjects.csv", "pretrained": pretrained or []},
                {
                    "population": self.results / "population.h5",
                    "subjects": self.results / "subjects.csv",
                },
                {
                    "root": None,
                    "settings": SETTINGS[self.dimension] | settings,
                    "class_column": None,
                    "person_column": None,
                    "control": None,
                    "train_on": "all",
                    "segmentation_label": None,
                    "split": SHARES,
                    "seed": 1,
                    "digest": "",
                },
            )

        return work

    def adopt(self, pretrained: Path, **model: object) -> Ended:
        """Run the script of train_encoder with model.pretrained, and keys of the block `model`."""
        log = self.results / "logs/train_encoder.log"
        files = {
            "population": self.results / "population.h5",
            "subjects": self.results / "subjects.csv",
            "pretrained": pretrained,
        }
        names = ("encoder.pt", "history.csv", "timings.csv", "seen.csv")
        made = {Path(name).stem: self.results / "model" / name for name in names}
        settings = {"landmarks": 4, "kernel": "paper"} | model

        def work() -> None:
            run_script("train_encoder", log, files, made, {"model": settings, "training": {}})

        ended = run(work)
        return Ended(ended.code, log.read_text(encoding="utf-8"), ended.peak, ended.seconds)

    def discover(self, model: Path, *images: object, more: tuple = ()) -> Ended:
        """Run `python -m lmcore discover`."""
        output = self.results / "landmarks.csv"
        return run(lambda: run_command("discover", model, *images, "--output", output, *more))

    def contents(self) -> dict[str, tuple]:
        """All that there is, but for what a job may write whatever happens: its log."""
        found = files_below(self.folder)
        return {path: kind for path, kind in found.items() if not path.startswith("results/logs")}


def assert_refused(ended: Ended, *words: str) -> str:
    """Exactly one error line that holds one of the words, soon and for little; the line."""
    assert ended.code == 1, ended
    assert "Traceback" not in ended.output, ended.output
    lines = error_lines(ended.output)
    assert len(lines) == 1, ended.output
    assert any(word in lines[0] for word in words), lines[0]
    assert ended.peak < PEAK, f"{ended.peak / 1e6:.0f} MB"
    assert ended.seconds < SECONDS
    return lines[0]
