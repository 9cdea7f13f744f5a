"""NIfTI-1, NIfTI-2 and MGH files, by nibabel."""

import gzip
import logging
import os
import struct
from pathlib import Path

import nibabel
import numpy as np

from lmcore.errors import InputError
from lmcore.population.formats.stored import Stored, check_not_structured, check_room, three_axes

# It tells a log of its own what it mends in a header; we accept the header or refuse it
logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)

# Extensions lie before the voxels and would be read before anything is known of them
MAX_OFFSET = 2**24
# What may follow the voxels in a compressed file
MAX_TAIL = 2**20
UNITS_IN_MM = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}
MGH_HEADER = ">7ih3f"  # version, four sizes, type, degrees of freedom, orientation flag, spacing
MGH_VOXELS = 284  # the byte they begin at


def read_nifti(path: Path) -> Stored:
    """Read .nii or .nii.gz; scl_slope and scl_inter are applied, units become mm.

    The affine is the sform, else the qform, else that of the spacing alone, as nibabel has it.

    Raises:
        InputError: if it is no single grey volume, or damaged.
    """
    compressed = path.suffix.lower() == ".gz"
    block = _first_bytes(path, 540, compressed)
    kinds = {348: nibabel.Nifti1Image, 540: nibabel.Nifti2Image}
    sizes = {struct.unpack(order + "i", block[:4].ljust(4, b"\0"))[0] for order in "<>"}
    found = sizes & set(kinds)
    if not found or len(block) < max(found):
        raise InputError(f"{path}: not a NIfTI file, or truncated in its header")
    kind = kinds[found.pop()]
    header = kind.header_class(block[: kind.header_class.template_dtype.itemsize], check=False)
    shape = _nifti_shape(path, header)
    image = _image(path, kind, _check_voxels(path, header, shape, compressed), compressed)
    affine = np.array(image.affine, dtype=np.float64)
    affine[:3] *= UNITS_IN_MM[header.get_xyzt_units()[0]]
    return Stored(_values(image, shape), affine)


def read_mgh(path: Path) -> Stored:
    """Read .mgh or .mgz.

    Raises:
        InputError: if it is no single volume, or damaged.
    """
    compressed = path.suffix.lower() == ".mgz"
    length = struct.calcsize(MGH_HEADER)
    block = _first_bytes(path, length, compressed)
    if len(block) < length or struct.unpack(">i", block[:4])[0] != 1:
        raise InputError(f"{path}: not an MGH file, or truncated in its header")
    _, *sizes, kind, _, oriented, sx, sy, sz = struct.unpack(MGH_HEADER, block)
    shape = three_axes(path, sizes)
    if oriented == 1:
        _check_spacing(path, (sx, sy, sz))
    bytes_a_voxel = {0: 1, 4: 2}.get(kind, 4)
    claimed = MGH_VOXELS + bytes_a_voxel * int(np.prod(shape))
    _check_file(path, claimed, compressed)
    image = _image(path, nibabel.MGHImage, claimed, compressed)
    return Stored(_values(image, shape), np.array(image.affine, dtype=np.float64))


def _first_bytes(path: Path, n: int, compressed: bool) -> bytes:
    with gzip.open(path) if compressed else path.open("rb") as file:
        return file.read(n)


def _image(
    path: Path, kind: type, claimed: int, compressed: bool
) -> nibabel.spatialimages.SpatialImage:
    """The image; of a compressed one the checksum, which stands at the end, is compared.

    Arguments:
        claimed: bytes from the file's beginning to the last voxel's end.
    """
    if not compressed:
        return kind.from_filename(path, mmap=False)
    with gzip.open(path) as file:
        content = file.read(claimed)
        tail = len(file.read(MAX_TAIL))
    if tail == MAX_TAIL:
        raise InputError(f"{path}: it goes on far behind the voxels of its header; it is damaged")
    return kind.from_bytes(content)


def _nifti_shape(path: Path, header: nibabel.Nifti1Header) -> tuple[int, int, int]:
    dimensions = int(header["dim"][0])
    if not 1 <= dimensions <= 7:
        raise InputError(f"{path}: its header gives {dimensions} dimensions; it is damaged")
    return three_axes(path, header["dim"][1 : dimensions + 1])


def _check_voxels(
    path: Path, header: nibabel.Nifti1Header, shape: tuple[int, int, int], compressed: bool
) -> int:
    """The bytes that the file holds by its header."""
    dtype = header.get_data_dtype()
    check_not_structured(path, dtype)
    _check_spacing(path, header["pixdim"][1:4])
    offset = float(header["vox_offset"])
    if not 0 <= offset <= MAX_OFFSET:
        raise InputError(f"{path}: its header puts the voxels at byte {offset:g}; it is damaged")
    claimed = int(offset) + dtype.itemsize * int(np.prod(shape))
    _check_file(path, claimed, compressed)
    return claimed


def _check_spacing(path: Path, spacing: tuple[float, float, float]) -> None:
    if not (np.isfinite(spacing).all() and min(spacing) > 0):
        shown = " x ".join(f"{mm:g}" for mm in spacing)
        raise InputError(f"{path}: its voxels are {shown} mm, which is no size; mend its header")


def _check_file(path: Path, claimed: int, compressed: bool) -> None:
    check_room(path, claimed, os.path.getsize(path), compressed)


def _values(image: nibabel.spatialimages.SpatialImage, shape: tuple[int, int, int]) -> np.ndarray:
    """(z, y, x); as stored where nothing scales it, so that a label keeps all its digits."""
    proxy = image.dataobj
    if (getattr(proxy, "slope", 1), getattr(proxy, "inter", 0)) == (1, 0):
        array = proxy.get_unscaled()
    else:
        array = image.get_fdata(caching="unchanged", dtype=np.float32)
    return np.reshape(array, shape, order="F").T
