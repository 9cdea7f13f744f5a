"""NRRD and MetaImage files, by SimpleITK."""

import os
import re
import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from lmcore.errors import InputError
from lmcore.population.formats.stored import (
    Stored,
    check_name,
    check_room,
    itk_affine,
    itk_reason,
    three_axes,
)

# Warnings would go to the terminal past every log
sitk.ProcessObject.SetGlobalWarningDisplay(False)

MAX_HEADER = 2**20
ZLIB_OR_GZIP = 47  # a window of 2^15, and either header
IO_OF = {".nrrd": "NrrdImageIO", ".nhdr": "NrrdImageIO", ".mha": "MetaImageIO"}
IO_OF[".mhd"] = "MetaImageIO"


def read_itk(path: Path) -> Stored:
    """Read .nrrd, .nhdr, .mha or .mhd; a detached data file has to lie beside its header or below.

    Raises:
        InputError: if it is no single grey volume, or damaged, or its data lie elsewhere.
    """
    io = IO_OF[path.suffix.lower()]
    check_name(path, path)
    fields, data = _read_header(path, io)
    _check_spacings(path, fields)
    held_by = _data_file(path, data)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(io)
    try:
        reader.ReadImageInformation()
        sizes = _check_information(path, reader)
        _check_claim(path, held_by, fields, sizes, reader)
        if _is_deflated(fields):
            array = _inflated(path, held_by, fields, int(np.prod(sizes)), _dtype(reader))
        else:
            array = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise InputError(
            f"{path}: unreadable, damaged or truncated ({itk_reason(error)})"
        ) from error
    carried = fields.keys() & {"spacings", "space directions", "elementspacing", "elementsize"}
    affine = itk_affine(reader.GetDirection(), reader.GetSpacing(), reader.GetOrigin())
    return Stored(array.reshape(sizes[::-1]), affine if carried else None)


def _read_header(path: Path, io: str) -> tuple[dict[str, str], list[str]]:
    """The fields of the header in lower case, and the names of detached data files."""
    nrrd = io == "NrrdImageIO"
    with path.open("rb") as file:
        block = file.read(MAX_HEADER)
    fields, data = {}, []
    for line in block.split(b"\n"):
        text = line.decode("latin-1").strip()
        if nrrd and not text:
            break
        key, value = (re.split(":" if nrrd else "[:=]", text, maxsplit=1) + [""])[:2]
        key, value = key.strip().lower(), value.strip()
        fields[key] = value
        if key in ("data file", "datafile", "elementdatafile") and value.lower() != "local":
            data.append(value)
        if key == "elementdatafile":
            break
    else:
        if not nrrd or len(block) == MAX_HEADER:
            raise InputError(f"{path}: its header has no end; it is damaged, or of another format")
    return fields, data


def _check_spacings(path: Path, fields: dict[str, str]) -> None:
    for key in ("spacings", "elementspacing", "elementsize"):
        numbers = re.findall(r"[-+.\w]+", fields.get(key, ""))[:3]
        if any(_is_no_size(number) for number in numbers):
            raise InputError(
                f"{path}: its voxels are {' x '.join(numbers)} mm, which is no size; "
                "mend its header"
            )


def _is_no_size(text: str) -> bool:
    try:
        return not 0 < float(text) < float("inf")
    except ValueError:
        return True


def _check_information(path: Path, reader: sitk.ImageFileReader) -> tuple[int, int, int]:
    kind = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    if "complex" in kind:
        raise InputError(f"{path}: complex numbers; give their magnitude")
    if reader.GetNumberOfComponents() != 1:
        raise InputError(f"{path}: a colour or vector volume; give one number a voxel")
    return three_axes(path, reader.GetSize())


def _data_file(path: Path, data: list[str]) -> Path:
    """The file that holds the voxels, which has to be the user's."""
    held_by = path
    for name in data:
        if name.split()[:1] in ([], ["LIST"]) or "%" in name:
            raise InputError(f"{path}: its data lie in several files; save it as one file")
        folder = os.path.realpath(path.parent)
        held_by = Path(os.path.realpath(os.path.join(folder, name)))
        if os.path.isabs(name) or not held_by.is_relative_to(folder):
            raise InputError(
                f"{path}: its data file {name} lies outside the header's folder; put it beside it"
            )
        if not held_by.is_file():
            raise InputError(f"{path}: its data file {name} does not exist")
    return held_by


def _check_claim(
    path: Path,
    held_by: Path,
    fields: dict[str, str],
    sizes: tuple[int, int, int],
    reader: sitk.ImageFileReader,
) -> None:
    compressed = fields.get("encoding", "raw") != "raw" or _is_true(fields, "compresseddata")
    claimed = _dtype(reader).itemsize * int(np.prod(sizes))
    check_room(path, claimed, os.path.getsize(held_by), compressed)
    for skip in ("byte skip", "line skip"):
        if compressed and fields.get(skip, "0") != "0":
            raise InputError(f"{path}: a {skip} into compressed data; save it without")


def _is_deflated(fields: dict[str, str]) -> bool:
    return _is_true(fields, "compresseddata") or fields.get("encoding") in ("gzip", "gz")


def _inflated(
    path: Path, held_by: Path, fields: dict[str, str], size: int, dtype: np.dtype
) -> np.ndarray:
    """The voxels of a compressed file, flat, against the checksum at their stream's end.

    ITK 5.4 compares none. Of a MetaImage it reads a damaged stream, or one whose length the
    header does not give, as whatever lies in memory, and allocates any length the header gives.
    """
    stream = zlib.decompressobj(ZLIB_OR_GZIP)
    with held_by.open("rb") as file:
        if held_by == path:
            meta = "compresseddata" in fields
            while line := file.readline().strip().lower():
                if meta and line.startswith(b"elementdatafile"):
                    break
        # One byte more than there may be tells whether the stream ends where it should
        data = stream.decompress(file.read(), size * dtype.itemsize + 1)
    if len(data) != size * dtype.itemsize or not stream.eof:
        raise InputError(f"{path}: its compressed voxels are damaged or truncated")
    order = fields.get("endian", "").lower() == "big"
    order |= any(_is_true(fields, f"{key}byteordermsb") for key in ("binarydata", "element"))
    return np.frombuffer(data, dtype.newbyteorder(">" if order else "<"))


def _is_true(fields: dict[str, str], key: str) -> bool:
    return fields.get(key, "false").lower() in ("true", "1")


def _dtype(reader: sitk.ImageFileReader) -> np.dtype:
    """From such as `16-bit signed integer`, `32-bit float`."""
    bits, kind = sitk.GetPixelIDValueAsString(reader.GetPixelID()).split("-bit ")
    letter = {"unsigned integer": "u", "signed integer": "i", "float": "f"}[kind]
    return np.dtype(f"{letter}{int(bits) // 8}")
