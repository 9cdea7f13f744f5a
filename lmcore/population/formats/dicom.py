"""A folder with one DICOM series, by SimpleITK."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from lmcore.errors import InputError
from lmcore.population.formats.dicom_elements import check_elements, is_dicom
from lmcore.population.formats.stored import (
    LPS_TO_RAS,
    Stored,
    check_name,
    check_room,
    itk_reason,
    three_axes,
)

sitk.ProcessObject.SetGlobalWarningDisplay(False)

POSITION, ORIENTATION, PIXEL_SPACING = "0020|0032", "0020|0037", "0028|0030"
SERIES = "0020|000e"
# Of the distance between slices: scanners round positions to 0.01 mm or so
TOLERANCE = 0.05


@dataclass(frozen=True)
class Slice:
    """The header of one file: its name, (x, y) size, spacing, orientation and position in LPS."""

    name: str
    series: str
    size: tuple[int, int]
    spacing: tuple[float, float]
    orientation: tuple[float, ...]
    position: np.ndarray


def read_dicom(folder: Path) -> Stored:
    """Read the slices of a series, in the order of their positions.

    Rescale slope and intercept are applied. Other files in the folder are left alone.
    A gantry tilt is in the affine: slices lie where their positions say.

    Raises:
        InputError: if the folder holds no series or several, slices of mixed size or orientation,
            two at one position or a gap, or damaged files.
    """
    slices = [read for path in _files(folder) if (read := _read_header(folder, path))]
    if not slices:
        raise InputError(f"{folder}: the folder holds no DICOM files")
    series = {item.series for item in slices}
    if len(series) > 1:
        raise InputError(
            f"{folder}: {len(series)} DICOM series in one folder; keep the one that is meant"
        )
    _check_same(folder, slices)
    slices = _in_order(slices)
    affine = _affine(folder, slices)
    sizes = three_axes(folder, (*slices[0].size, len(slices)))
    return Stored(_read_voxels(folder, slices, sizes), affine)


def _files(folder: Path) -> list[Path]:
    """The files of the folder; a link out of it could name any file of the machine."""
    paths = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    check_name(folder, *paths)
    root = os.path.realpath(folder)
    outside = [p.name for p in paths if not os.path.realpath(p).startswith(root + os.sep)]
    if outside:
        raise InputError(f"{folder}: {outside[0]} is a link out of the folder; copy the file")
    return paths


def _read_header(folder: Path, path: Path) -> Slice | None:
    """None for a file that is no DICOM image.

    Raises:
        InputError: if it is one, and damaged or of a kind that is not read.
    """
    if path.name == "DICOMDIR" or not is_dicom(path):
        return None
    check_elements(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("GDCMImageIO")
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{folder}: {path.name} is damaged or truncated") from error
    sizes = reader.GetSize()
    if reader.GetNumberOfComponents() != 1:
        raise InputError(f"{folder}: {path.name} is a colour image; give a grey series")
    if len(sizes) > 2 and max(sizes[2:]) > 1:
        raise InputError(
            f"{folder}: {path.name} holds {sizes[2]} frames; give one slice a file, or convert it "
            "to NIfTI"
        )
    check_room(path, sizes[0] * sizes[1], path.stat().st_size, compressed=True)
    missing = [
        tag for tag in (POSITION, ORIENTATION, PIXEL_SPACING) if not reader.HasMetaDataKey(tag)
    ]
    if missing:
        raise InputError(
            f"{folder}: {path.name} has no position, orientation or pixel spacing "
            f"(tag {missing[0]}); it is no slice of a volume"
        )
    spacing = reader.GetSpacing()[:2]
    if min(spacing) <= 0:
        raise InputError(f"{folder}: {path.name} has pixels of {spacing[0]:g} x {spacing[1]:g} mm")
    return Slice(
        name=path.name,
        series=reader.GetMetaData(SERIES).strip() if reader.HasMetaDataKey(SERIES) else "",
        size=tuple(sizes[:2]),
        spacing=spacing,
        orientation=_numbers(folder, path, reader.GetMetaData(ORIENTATION), 6),
        position=np.array(_numbers(folder, path, reader.GetMetaData(POSITION), 3)),
    )


def _numbers(folder: Path, path: Path, text: str, n: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split("\\"))
    except ValueError:
        numbers = ()
    if len(numbers) != n or not np.isfinite(numbers).all():
        raise InputError(f"{folder}: {path.name} has the position or orientation '{text}'")
    return numbers


def _check_same(folder: Path, slices: Sequence[Slice]) -> None:
    first = slices[0]
    for item in slices:
        if item.size != first.size:
            raise InputError(
                f"{folder}: slices of mixed size: {first.name} has {first.size[0]} x "
                f"{first.size[1]} pixels, {item.name} has {item.size[0]} x {item.size[1]}"
            )
        same = np.allclose(item.orientation, first.orientation, atol=1e-3)
        if not same or not np.allclose(item.spacing, first.spacing, rtol=1e-3):
            raise InputError(
                f"{folder}: {first.name} and {item.name} differ in orientation or pixel spacing; "
                "keep the slices of one volume"
            )


def _in_order(slices: Sequence[Slice]) -> list[Slice]:
    """Along the slices' normal, the cross product of rows' and columns' directions."""
    orientation = np.array(slices[0].orientation)
    normal = np.cross(orientation[:3], orientation[3:])
    return sorted(slices, key=lambda item: (float(item.position @ normal), item.name))


def _affine(folder: Path, slices: Sequence[Slice]) -> np.ndarray:
    """The (4, 4) affine to RAS mm, from the positions of all slices.

    Raises:
        InputError: if two slices have one position, or the distances differ.
    """
    if len(slices) < 2:
        raise InputError(f"{folder}: one DICOM slice alone, not a volume")
    row, column = np.reshape(slices[0].orientation, (2, 3))
    along = np.array([item.position for item in slices]) @ np.cross(row, column)
    gaps = np.diff(along)
    usual = np.median(gaps[gaps > 1e-4]) if (gaps > 1e-4).any() else 1.0
    for before, after, gap in zip(slices, slices[1:], gaps, strict=False):
        if gap < TOLERANCE * usual:
            raise InputError(
                f"{folder}: duplicate slices: {before.name} and {after.name} lie at one position"
            )
        if abs(gap - usual) > TOLERANCE * usual:
            raise InputError(
                f"{folder}: missing slices: {before.name} and {after.name} lie {gap:g} mm apart, "
                f"others {usual:g} mm"
            )
    first, last = slices[0], slices[-1]
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = row * first.spacing[0], column * first.spacing[1]
    affine[:3, 2] = (last.position - first.position) / (len(slices) - 1)
    affine[:3, 3] = first.position
    return LPS_TO_RAS @ affine


def _read_voxels(folder: Path, slices: Sequence[Slice], sizes: tuple[int, int, int]) -> np.ndarray:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(folder / item.name) for item in slices])
    # Slices may be rescaled each by its own slope; the first one's type would cut the others
    reader.SetOutputPixelType(sitk.sitkFloat32)
    try:
        array = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise InputError(f"{folder}: damaged or truncated slices ({itk_reason(error)})") from error
    return array.reshape(sizes[::-1])
