"""What every reader of volumes returns, and what a header may claim before it is believed."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmcore.errors import InputError
from lmcore.memory import spare_memory

# 1024 x 1024 x 512: larger than a whole-body CT, and 2 GiB as float32
MAX_VOXELS = 2**29
# No deflate stream grows by more than 1032; run lengths and wavelets of a scan do not either
MAX_RATIO = 1032
# Below this a claim does no harm, and the decoder itself says what is wrong with the file
HARMLESS_BYTES = 2**24

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Stored:
    """A volume as a file has it.

    Attributes:
        array: (z, y, x), any real dtype.
        affine: (4, 4) float64 index (x, y, z) -> RAS mm, or None where the file says nothing
            of its voxels' size.
    """

    array: np.ndarray
    affine: np.ndarray | None


def three_axes(path: str | os.PathLike, sizes: Sequence[int]) -> tuple[int, int, int]:
    """The sizes (x, y, z) of a volume, without trailing axes of length 1.

    Raises:
        InputError: if it is no single volume, or too large to be one.
    """
    sizes = [int(n) for n in sizes]
    shown = " x ".join(f"{n:,}" for n in sizes)
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if min(sizes, default=0) < 1:
        raise InputError(
            f"{path}: its header gives the size {shown or 'of nothing'}; it is damaged"
        )
    if len(sizes) > 3:
        raise InputError(f"{path}: {shown} is a series of volumes; give one volume a file")
    if len(sizes) < 3 or min(sizes) < 2:
        raise InputError(f"{path}: {shown} is a single slice, not a volume")
    if sizes[0] * sizes[1] * sizes[2] > MAX_VOXELS:
        raise InputError(
            f"{path}: {shown} voxels are too many; crop it, or scale it down to at most "
            f"{MAX_VOXELS // 1_000_000} million"
        )
    return tuple(sizes)


def check_room(path: str | os.PathLike, claimed: int, present: int, compressed: bool) -> None:
    """Refuse a header that claims more than file or memory can hold, before it is allocated.

    Arguments:
        path: to name.
        claimed: bytes of the voxels by the header.
        present: bytes of the file that holds them.
        compressed: whether they may be fewer than claimed.
    Raises:
        InputError: if the file is too short.
        MemoryError: if there is less memory than the voxels take.
    """
    if compressed and claimed <= HARMLESS_BYTES:
        return
    if claimed > present * (MAX_RATIO if compressed else 1):
        raise InputError(
            f"{path}: truncated or damaged: its header claims {claimed:,} bytes of voxels, "
            f"the file has {present:,}"
        )
    if claimed > HARMLESS_BYTES and claimed > spare_memory():
        raise MemoryError(f"its voxels take {claimed / 1e6:,.0f} MB")


def check_name(path: str | os.PathLike, *names: Path) -> None:
    """Refuse names that are no UTF-8, at which SimpleITK ends the process.

    Arguments:
        path: to name.
        names: of files that SimpleITK is to read.
    Raises:
        InputError: for the first one.
    """
    for name in names:
        try:
            os.fspath(name).encode("utf-8")
        except UnicodeEncodeError:
            shown = os.fsencode(name.name).decode("utf-8", "backslashreplace")
            raise InputError(f"{path}: the file name {shown} is no UTF-8; rename it") from None


def itk_affine(
    direction: Sequence[float], spacing: Sequence[float], origin: Sequence[float]
) -> np.ndarray:
    """The (4, 4) affine to RAS mm of ITK's LPS geometry; axes beyond the third are left out."""
    d = len(spacing)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(direction, (d, d))[:3, :3] * np.asarray(spacing)[:3]
    affine[:3, 3] = origin[:3]
    return LPS_TO_RAS @ affine


def check_not_structured(path: str | os.PathLike, dtype: np.dtype) -> None:
    """Refuse what has more than one real number a voxel.

    Raises:
        InputError: for colour, complex numbers, and anything else.
    """
    if dtype.names or dtype.subdtype:
        raise InputError(f"{path}: a colour volume; give a grey one")
    if dtype.kind == "c":
        raise InputError(f"{path}: complex numbers; give their magnitude")
    if dtype.kind not in "iufb":
        raise InputError(f"{path}: its voxels are of type {dtype}, not numbers")


def itk_reason(error: Exception) -> str:
    """The last thing ITK says, without its source lines and addresses."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[1:] or lines)
    text = re.sub(r"\S*/\S+:\d+:|itk::ERROR:|ITK ERROR:|\w+\(0x[0-9a-f]+\):|\[nrrd\]", "", text)
    return " ".join(text.split())[-200:] or "no reason given"
