"""Text files as people and other programs write them: tables, and lists of points."""

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from lmcore.errors import InputError
from lmcore.files import whole_file

StrPath = str | os.PathLike


def read_text_table(path: StrPath, hint: str = "") -> pd.DataFrame:
    """A CSV with all cells as text, so that a subject 001 or NA keeps its name.

    Arguments:
        hint: what to do where there is no such file.
    Raises:
        InputError: if there is none, or it cannot be read.
    """
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file{hint}") from error
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise InputError(f"{path}: cannot be read as a table ({error})") from error


def read_points(path: StrPath) -> np.ndarray:
    """(M, d) points: a line each, two or three numbers between spaces or commas.

    As ShapeWorks' .particles are; what follows a # is skipped.

    Raises:
        InputError: if the file cannot be read as that.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").replace(",", " ").splitlines()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a file without numbers
            points = np.loadtxt(lines, dtype=np.float64, ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as points ({error})") from error
    if not len(points) or points.shape[1] not in (2, 3) or not np.isfinite(points).all():
        raise InputError(f"{path}: every line needs two or three finite numbers, x y z")
    return points


def write_points(path: StrPath, points: np.ndarray) -> None:
    """Write points (M, d) so that `read_points` and ShapeWorks read them."""
    lines = (" ".join(f"{value:.9g}" for value in point) + "\n" for point in points)
    with whole_file(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8", newline="\n")
