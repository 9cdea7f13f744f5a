"""Files made by hand after PS3.5: what each syntax writes, and what it would take to believe it."""

import struct

import pytest

from lmcore.errors import InputError
from lmcore.population.formats.dicom_elements import check_elements, is_dicom

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
BIG, DEFLATED = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
ROWS, PIXELS = (0x0028, 0x0010), (0x7FE0, 0x0010)


def element(tag, kind: str, value: bytes, order: str = "<", length: int | None = None) -> bytes:
    """One data element; without `kind` the representation is implicit."""
    length = len(value) if length is None else length
    head = struct.pack(f"{order}HH", *tag)
    if not kind:
        return head + struct.pack(f"{order}I", length) + value
    if kind in ("OW", "OB", "SQ"):
        return head + kind.encode() + bytes(2) + struct.pack(f"{order}I", length) + value
    return head + kind.encode() + struct.pack(f"{order}H", length) + value


def header(syntax: str) -> bytes:
    """Preamble and the file's own elements, which are explicit and little-endian."""
    text = syntax.encode() + b"\0" * (len(syntax) % 2)
    return bytes(128) + b"DICM" + element((2, 0x0010), "UI", text)


def body(syntax: str, length: int | None = None) -> bytes:
    order = ">" if syntax == BIG else "<"
    kinds = ("", "") if syntax == IMPLICIT else ("US", "OW")
    rows = element(ROWS, kinds[0], struct.pack(f"{order}H", 4), order)
    return rows + element(PIXELS, kinds[1], bytes(32), order, length)


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_lengths_that_fit_and_lengths_that_do_not(tmp_path, syntax):
    path = tmp_path / "a.dcm"
    path.write_bytes(header(syntax) + body(syntax))
    assert is_dicom(path)
    check_elements(path)
    for length in (33, 2**31):
        path.write_bytes(header(syntax) + body(syntax, length))
        with pytest.raises(InputError, match=r"a\.dcm is damaged or truncated"):
            check_elements(path)
    path.write_bytes((header(syntax) + body(syntax))[:-1])
    with pytest.raises(InputError, match="damaged or truncated"):
        check_elements(path)


def test_what_has_no_length_ends_the_walk(tmp_path):
    """Encapsulated pixels: their fragments say how long they are."""
    path = tmp_path / "a.dcm"
    path.write_bytes(header(EXPLICIT) + body(EXPLICIT, 2**32 - 1) + b"anything")
    check_elements(path)
    path.write_bytes(header(DEFLATED) + b"compressed")
    check_elements(path)


def test_what_is_no_element(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(header(EXPLICIT) + b"\x28\0\x10\0??\x02\0ab")
    with pytest.raises(InputError, match="damaged or truncated"):
        check_elements(path)


@pytest.mark.parametrize("content", [b"", bytes(131), bytes(128) + b"DICN", b"DICM" + bytes(200)])
def test_other_files(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert not is_dicom(tmp_path / "a")
