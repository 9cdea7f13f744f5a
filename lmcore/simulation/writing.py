"""Writes a simulated population as a user would hand one in, and its truth beside it."""

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd
from PIL import Image

from lmcore.files import room_for, whole_hdf5, write_csv
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


class SimulatedVolume(NamedTuple):
    """One simulated subject with a scan.

    Attributes:
        subject: unique id.
        image: (z, y, x) int16, such as HU, or float32.
        segmentation: (z, y, x) uint8, 1 inside the structure.
        affine: (4, 4) from index (x, y, z) to RAS mm, of both.
        labels: other columns of the subjects table, such as `side` and the class.
        truth: the generating parameters, numbers only, the same names for every subject.
        points: (P, 3) RAS mm, the same point of the anatomy in every subject.
    """

    subject: str
    image: np.ndarray
    segmentation: np.ndarray
    affine: np.ndarray
    labels: Mapping[str, str]
    truth: Mapping[str, float]
    points: np.ndarray


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
    folder = _outside(folder, truth)
    progress = Progress(what, total, "images")
    subjects, parameters = [], []
    with _new_folder(folder / "images") as images:
        for done, one in enumerate(simulated, start=1):
            name = f"{one.subject}.png"
            Image.fromarray(one.image).save(images / name, compress_level=4)
            subjects.append({"subject": one.subject, "image": f"images/{name}", **one.labels})
            parameters.append({"subject": one.subject, **one.truth})
            progress.update(done)
    write_csv(truth, pd.DataFrame(parameters))
    write_csv(folder / "subjects.csv", pd.DataFrame(subjects))


def write_volumes(
    folder: str | os.PathLike,
    truth: str | os.PathLike,
    simulated: Iterable[SimulatedVolume],
    total: int,
    what: str,
    triangles: np.ndarray,
    regions: Mapping[str, np.ndarray] | None = None,
    tables: Mapping[str, pd.DataFrame] | None = None,
) -> None:
    """Write scans and segmentations as NIfTI, subjects.csv, and the truth as table and surface.

    As `write_population`, with `folder/segmentations` beside `folder/images`; the folder `truth/`
    beside the truth's table holds `surface.h5`: `subject`, `points` (N, P, 3) RAS mm of each
    scan, `triangles` (F, 3) between them, and each region's (P) values by its name.

    Arguments:
        folder, truth, simulated, total, what: as of `write_population`.
        triangles: (F, 3) of the points, the same for all.
        regions: values at the P points, such as where a bump is.
        tables: further tables of the user's, file name in `folder` -> content, such as ratings.
    Raises:
        ValueError: if `truth` lies inside `folder`, where a later step could read it.
    """
    import nibabel  # only volumes need it

    folder = _outside(folder, truth)
    progress = Progress(what, total, "scans")
    subjects, parameters, points = [], [], []
    with (
        _new_folder(folder / "images") as images,
        _new_folder(folder / "segmentations") as segmentations,
    ):
        for done, one in enumerate(simulated, start=1):
            name = f"{one.subject}.nii.gz"
            for where, array in ((images, one.image), (segmentations, one.segmentation)):
                # NIfTI has x first; no time of day in the gzip header, the same bytes every time
                file = nibabel.Nifti1Image(array.transpose(2, 1, 0), one.affine)
                file.header.set_xyzt_units("mm")
                file.to_filename(where / name)
            paths = {"image": f"images/{name}", "segmentation": f"segmentations/{name}"}
            subjects.append({"subject": one.subject, **paths, **one.labels})
            parameters.append({"subject": one.subject, **one.truth})
            points.append(one.points)
            progress.update(done)
    names = [row["subject"] for row in subjects]
    _write_surface(Path(truth).with_name("truth"), names, np.stack(points), triangles, regions)
    write_csv(truth, pd.DataFrame(parameters))
    for name, table in (tables or {}).items():
        write_csv(folder / name, table)
    write_csv(folder / "subjects.csv", pd.DataFrame(subjects))


def _write_surface(folder: Path, subjects, points, triangles, regions) -> None:
    with whole_hdf5(folder / "surface.h5") as file:
        file.create_dataset("subject", data=subjects, dtype=h5py.string_dtype(), track_times=False)
        content = {"points": np.float32(points), "triangles": np.int32(triangles)}
        for name, values in {**content, **(regions or {})}.items():
            file.create_dataset(name, data=values, track_times=False)


def _outside(folder: str | os.PathLike, truth: str | os.PathLike) -> Path:
    """The folder, made, after a check that the truth lies outside of it."""
    folder = Path(folder)
    if Path(truth).resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"the truth table {truth} must not lie inside the population's {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextlib.contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """An empty folder that takes the place of `target` when the block succeeds."""
    drawn = target.with_name(f".{target.name}-drawn")
    shutil.rmtree(drawn, ignore_errors=True)  # what a killed run left
    drawn.mkdir()
    try:
        with room_for(target):
            yield drawn
        _replace_folder(drawn, target)
    finally:
        shutil.rmtree(drawn, ignore_errors=True)


def _replace_folder(new: Path, target: Path) -> None:
    """Give `new` the name `target`; a folder cannot be renamed over one that holds files."""
    earlier = target.with_name(f".{target.name}-earlier")
    shutil.rmtree(earlier, ignore_errors=True)
    if target.exists():
        target.rename(earlier)
    new.rename(target)
    shutil.rmtree(earlier, ignore_errors=True)
