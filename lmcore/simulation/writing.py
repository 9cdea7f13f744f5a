"""Writes a simulated population as a user would hand one in, and its truth beside it."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from lmcore.files import write_csv
from lmcore.progress import Progress


class Simulated(NamedTuple):
    """One simulated subject.

    Attributes:
        subject: unique id.
        image: (height, width) uint8.
        labels: the label columns of the subjects table.
        truth: the generating parameters, numbers only, the same names for every subject.
    """

    subject: str
    image: np.ndarray
    labels: Mapping[str, str]
    truth: Mapping[str, float]


def to_grey(intensity: np.ndarray) -> np.ndarray:
    """8-bit grey of intensities in [0, 1]; values outside are clipped."""
    return np.rint(255.0 * np.clip(intensity, 0.0, 1.0)).astype(np.uint8)


def write_population(
    folder: str | os.PathLike,
    truth: str | os.PathLike,
    simulated: Iterable[Simulated],
    total: int,
    what: str,
) -> None:
    """Write `folder/images/SUBJECT.png`, `folder/subjects.csv` and the truth table.

    The images take their place together once the last one is drawn, then the truth, then the
    subjects: where drawing fails, an earlier population stays as it was. Images of an earlier,
    larger population do not stay behind.

    Arguments:
        folder: the population's folder, made if needed.
        truth: path of the table of generating parameters, outside `folder`.
        simulated: the subjects, drawn one by one.
        total: how many there will be, for the lines of progress.
        what: start of the lines of progress.
    Raises:
        ValueError: if `truth` lies inside `folder`, where a later step could read it.
    """
    folder = Path(folder)
    if Path(truth).resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"the truth table {truth} must not lie inside the population's {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    drawn = folder / ".images-drawn"
    shutil.rmtree(drawn, ignore_errors=True)  # what a killed run left
    drawn.mkdir()
    progress = Progress(what, total, "images")
    subjects, parameters = [], []
    try:
        for done, one in enumerate(simulated, start=1):
            name = f"{one.subject}.png"
            Image.fromarray(one.image).save(drawn / name, compress_level=4)
            subjects.append({"subject": one.subject, "image": f"images/{name}", **one.labels})
            parameters.append({"subject": one.subject, **one.truth})
            progress.update(done)
        _replace_folder(drawn, folder / "images")
    finally:
        shutil.rmtree(drawn, ignore_errors=True)
    write_csv(truth, pd.DataFrame(parameters))
    write_csv(folder / "subjects.csv", pd.DataFrame(subjects))


def _replace_folder(new: Path, target: Path) -> None:
    """Give `new` the name `target`; a folder cannot be renamed over one that holds files."""
    earlier = new.with_name(".images-earlier")
    shutil.rmtree(earlier, ignore_errors=True)
    if target.exists():
        target.rename(earlier)
    new.rename(target)
    shutil.rmtree(earlier, ignore_errors=True)
