"""Reading volumes of every supported format to one internal form."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmcore.errors import InputError, lack_of_memory
from lmcore.population.formats.stored import Stored
from lmcore.population.table import HDF5_DATASET, is_volume

__all__ = ["Volume", "is_volume", "read_labels", "read_volume", "same_grid"]

# Of a voxel: files round their affines differently
GRID_TOLERANCE = 0.1


@dataclass(frozen=True)
class Volume:
    """A scan and where it lies.

    Attributes:
        array: (z, y, x) float32, finite.
        affine: (4, 4) float64, index (x, y, z) -> RAS mm; it may be oblique or left-handed.
        oriented: whether the file says how its axes lie in the body. If not, as in HDF5, the
            affine scales alone, and its mm are along the file's own axes.
    """

    array: np.ndarray
    affine: np.ndarray
    oriented: bool = True

    @property
    def spacing(self) -> np.ndarray:
        """(3,) mm between voxels along the index axes x, y, z."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the array, (z, y, x)."""
        return self.array.shape


def read_volume(path: str | os.PathLike, spacing: float | Sequence[float] | None = None) -> Volume:
    """Read a scan.

    NaN, with which masked scans mark what they leave out, becomes the lowest value of the rest.

    Arguments:
        path: .nii, .nii.gz, .mgh, .mgz, .nrrd, .nhdr, .mha, .mhd, `file.h5:/dataset`, or a folder
            with one DICOM series.
        spacing: mm, one number or one for each of x, y, z, for a file that carries none.
    Raises:
        InputError: if it cannot be read to its end, is no single grey volume, is too large, holds
            infinity or nothing but NaN, is constant, or does not say how large its voxels are.
    """
    array, affine, oriented = _read(path, spacing)
    with np.errstate(over="ignore"):  # float64 beyond float32 is infinite, and refused as such
        array = np.ascontiguousarray(array, dtype=np.float32)
    missing = np.isnan(array)
    if missing.all():
        raise InputError(f"{path}: the volume holds nothing but NaN")
    if missing.any():
        array[missing] = np.nanmin(array)
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all():
        raise InputError(f"{path}: the volume holds infinite values; replace them")
    if low == high:
        raise InputError(f"{path}: the volume is constant ({low:g}); it shows nothing")
    return Volume(array, affine, oriented)


def read_labels(path: str | os.PathLike, spacing: float | Sequence[float] | None = None) -> Volume:
    """Read a segmentation: whole numbers from 0, as int32, in which every label keeps its digits.

    NaN is 0. Arguments and errors are those of `read_volume`, but that a constant is no error.

    Raises:
        InputError: also if a value is negative or no whole number.
    """
    array, affine, oriented = _read(path, spacing)
    if array.dtype.kind == "f":
        array = np.nan_to_num(array, nan=0.0, posinf=np.inf, neginf=-np.inf)
        if not np.isfinite(array).all() or np.abs(array - np.round(array)).max() > 1e-3:
            raise InputError(f"{path}: a segmentation holds whole numbers, this holds others")
        array = np.round(array)
    if array.min() < 0 or array.max() >= 2**31:
        raise InputError(f"{path}: labels from {array.min()} to {array.max()}; give 0 to 2^31")
    return Volume(np.ascontiguousarray(array, dtype=np.int32), affine, oriented)


def same_grid(one: Volume, other: Volume) -> bool:
    """Whether two volumes have the same shape, and their voxels the same places."""
    if one.shape != other.shape:
        return False
    ends = np.array(np.meshgrid(*([0, n - 1] for n in one.shape[::-1]), [1])).reshape(4, -1)
    apart = np.linalg.norm(((one.affine - other.affine) @ ends)[:3], axis=0)
    return bool(apart.max() <= GRID_TOLERANCE * one.spacing.min())


def _read(
    path: str | os.PathLike, spacing: float | Sequence[float] | None
) -> tuple[np.ndarray, np.ndarray, bool]:
    """The array as stored, its affine, and whether that says how the axes lie in the body."""
    try:
        stored = _read_stored(os.fspath(path))
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except Exception as error:  # decoders fail in many ways on damaged bytes
        if lack := lack_of_memory(error):
            raise MemoryError(lack) from error
        reason = str(error) or type(error).__name__
        raise InputError(f"{path}: unreadable, damaged or truncated ({reason})") from error
    return stored.array, _affine(path, stored, spacing), stored.affine is not None


def _read_stored(path: str) -> Stored:
    """By the suffix; a reader's library is imported when a file needs it."""
    lower = path.lower()
    if hdf5 := HDF5_DATASET.fullmatch(path):
        from lmcore.population.formats.hdf5 import read_hdf5

        return read_hdf5(Path(hdf5["file"]), path[len(hdf5["file"]) + 1 :])
    if lower.endswith((".h5", ".hdf5")):
        raise InputError(f"{path}: name the dataset, as in {Path(path).name}:/image")
    if os.path.isdir(path):
        from lmcore.population.formats.dicom import read_dicom

        return read_dicom(Path(path))
    if lower.endswith((".nii", ".nii.gz")):
        from lmcore.population.formats.nifti import read_nifti

        return read_nifti(Path(path))
    if lower.endswith((".mgh", ".mgz")):
        from lmcore.population.formats.nifti import read_mgh

        return read_mgh(Path(path))
    if lower.endswith((".nrrd", ".nhdr", ".mha", ".mhd")):
        from lmcore.population.formats.itk import read_itk

        return read_itk(Path(path))
    raise InputError(f"{path}: no reader for volumes of this kind")


def _affine(
    path: str | os.PathLike, stored: Stored, spacing: float | Sequence[float] | None
) -> np.ndarray:
    given = None if spacing is None else np.broadcast_to(np.asarray(spacing, float), 3)
    if given is not None and not (np.isfinite(given).all() and given.min() > 0):
        raise InputError(f"{path}: a spacing of {spacing} mm is no size of a voxel")
    if stored.affine is None:
        if given is None:
            raise InputError(
                f"{path}: the file does not say how large its voxels are; give the table a column "
                "spacing, in mm"
            )
        return np.diag([*given, 1.0])
    own = np.linalg.norm(stored.affine[:3, :3], axis=0)
    if not np.isfinite(stored.affine).all() or own.min() <= 0:
        raise InputError(f"{path}: the file's voxels have no size; mend its header")
    # The volume of a voxel over that of a box with its edges: 0 where they lie in one plane
    if abs(np.linalg.det(stored.affine[:3, :3] / own)) < 1e-3:
        raise InputError(f"{path}: the axes of its affine lie in one plane; mend its header")
    if given is not None and not np.allclose(given, own, rtol=0.01):
        shown = " x ".join(f"{mm:g}" for mm in own)
        raise InputError(
            f"{path}: the file has voxels of {shown} mm, the table's spacing is "
            f"{' x '.join(f'{mm:g}' for mm in given)}; leave the table's empty, or mend the file"
        )
    return stored.affine
