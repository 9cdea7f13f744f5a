"""A walk over the data elements of a DICOM file, before GDCM believes what they claim.

GDCM allocates whatever length an element claims: a damaged slice of a kilobyte took a gigabyte.
Format: DICOM PS3.5, section 7.1, and PS3.10, section 7.1.
"""

import struct
from pathlib import Path
from typing import BinaryIO

from lmcore.errors import InputError

BEGIN = 132  # a preamble of 128 bytes, and DICM
# Representations whose length has four bytes, two bytes further on
LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
UNDEFINED = 2**32 - 1
SYNTAX = (0x0002, 0x0010)
IMPLICIT, BIG_ENDIAN = b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.2"
DEFLATED = b"1.2.840.10008.1.2.1.99"


def is_dicom(path: Path) -> bool:
    """Whether a file says that it is DICOM."""
    with path.open("rb") as file:
        return file.read(BEGIN)[128:] == b"DICM"


def check_elements(path: Path) -> None:
    """Check that every element ends within the file, up to the first of undefined length.

    Raises:
        InputError: if one does not.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        position, order, explicit, syntax = BEGIN, "<", True, b""
        while position < size:
            file.seek(position)
            (group,) = struct.unpack("<H", file.read(2).ljust(2, b"\0"))
            if group != SYNTAX[0]:  # behind the file's own header its syntax rules
                if syntax == DEFLATED:
                    return
                order, explicit = "<>"[syntax == BIG_ENDIAN], syntax != IMPLICIT
            file.seek(position)
            tag, header, length = _element(file, order, explicit)
            if length == UNDEFINED:
                return
            if length is None or position + header + length > size:
                raise InputError(f"{path.parent}: {path.name} is damaged or truncated")
            if tag == SYNTAX:
                syntax = file.read(length).rstrip(b"\0 ")
            position += header + length


def _element(file: BinaryIO, order: str, explicit: bool) -> tuple[tuple[int, int], int, int | None]:
    """Tag, bytes of the element's header, bytes of its value; None for what is no element."""
    block = file.read(12).ljust(12, b"\0")
    tag, kind = struct.unpack(f"{order}HH", block[:4]), block[4:6]
    if not explicit:
        header, (length,) = 8, struct.unpack(f"{order}I", block[4:8])
    elif kind in LONG:
        header, (length,) = 12, struct.unpack(f"{order}I", block[8:])
    elif kind.isalpha() and kind.isupper():
        header, (length,) = 8, struct.unpack(f"{order}H", block[6:8])
    else:
        return tag, 0, None
    file.seek(header - len(block), 1)
    return tag, header, length
