"""Damage that any file can have, done to good ones."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple


class Fault(NamedTuple):
    """A file, or a folder, that no population can use.

    Attributes:
        what: is wrong, in words.
        name: of the file in the user's folder, as the table has it.
        write: makes it at a path.
        columns: of its subject in the table, beside subject and image.
    """

    what: str
    name: str
    write: Callable[[Path], object]
    columns: Mapping[str, str] = MappingProxyType({})


PNG = b"\x89PNG\r\n\x1a\n"
GZIP = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


def damages(good: bytes) -> Iterator[tuple[str, bytes]]:
    """What is wrong, and the bytes of a good file that has it."""
    yield "of zero bytes", b""
    yield "truncated in its header", good[:20]
    yield "truncated at 60 %", good[: len(good) * 6 // 10]
    yield "with another magic", b"\0" * 8 + good[8:]
    yield "of zeros alone", bytes(len(good))
    yield "that is text", b"this is no image\n" * 40
    yield "that is an archive", GZIP + good[:200]


def damaged_files(
    kind: str, name: str, good: bytes, columns: Mapping[str, str] = MappingProxyType({})
) -> list[Fault]:
    """Faults of one format.

    Arguments:
        kind: of the file, in words.
        name, columns: see `Fault`.
        good: the content of a file without fault.
    """
    return [
        Fault(f"{kind} {what}", name, partial(write_bytes, content), columns)
        for what, content in damages(good)
    ]


def files(kind: str, name: str, contents: Mapping[str, bytes]) -> list[Fault]:
    """Faults by what is wrong, and the content that has it."""
    return [
        Fault(f"{kind} {what}".strip(), name, partial(write_bytes, content))
        for what, content in contents.items()
    ]


def write_bytes(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def link(target: str, path: Path) -> None:
    path.symlink_to(target)
