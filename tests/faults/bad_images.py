"""2D images that no population can use, made from good ones."""

import io
import os
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
from damage import PNG, Fault, damaged_files, link, write_bytes
from PIL import Image

SIZE = (40, 52)


def blob(seed: int = 0) -> np.ndarray:
    """(H, W) uint8: a bright blob on dark ground, with noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    inside = np.hypot(y - 18 - seed % 5, x - 25 + seed % 3) < 9
    return np.uint8(60 + 120 * inside + random.integers(0, 20, SIZE))


def encoded(format: str, array: np.ndarray | None = None, **options: object) -> bytes:
    """A good file of this format."""
    buffer = io.BytesIO()
    Image.fromarray(blob() if array is None else array).save(buffer, format=format, **options)
    return buffer.getvalue()


def png(width: int, height: int, data: bytes = b"", chunk: bytes = b"") -> bytes:
    """A PNG whose header claims this size, with the pixels and one more chunk as given."""

    def part(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = part(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    more = part(chunk[:4], chunk[4:]) if chunk else b""
    return PNG + header + more + part(b"IDAT", zlib.compress(data)) + part(b"IEND", b"")


def tiff(width: int, height: int) -> bytes:
    """A TIFF whose header claims this size, with next to no pixels."""
    entries = (
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1)),
        *((262, 3, 1, 1), (273, 4, 1, 122), (277, 3, 1, 1), (278, 4, 1, height)),
        (279, 4, 1, min(width * height, 2**32 - 1)),
    )
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(40)


def bomb() -> bytes:
    """A text of 256 MB, compressed into a chunk of a PNG: a megabyte of file."""
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(256)) + packer.flush()
    rows = b"".join(b"\0" + row.tobytes() for row in blob())
    return png(SIZE[1], SIZE[0], rows, b"zTXtnote\0\0" + packed)


def with_value(value: float) -> bytes:
    """A TIFF of floats, one of them this."""
    array = blob().astype(np.float32)
    array[3, 4] = value
    return encoded("TIFF", array)


def pages() -> bytes:
    """A TIFF of two images."""
    more = [Image.fromarray(blob(1))]
    return encoded("TIFF", save_all=True, append_images=more)


CONTENTS = {
    "png that claims 60,000 x 60,000 pixels": ("s03.png", png(60_000, 60_000)),
    "png that claims 9,000 x 9,000 pixels": ("s03.png", png(9_000, 9_000)),
    "png that claims 0 x 5 pixels": ("s03.png", png(0, 5)),
    "png with fewer pixels than it claims": ("s03.png", png(500, 400, b"\0" * 900)),
    "tif that claims 4,000,000,000 pixels a side": ("s03.tif", tiff(4_000_000_000, 4_000_000_000)),
    "tif that claims 60,000 x 50,000 pixels": ("s03.tif", tiff(60_000, 50_000)),
    "tif of two images": ("s03.tif", pages()),
    "tif with NaN": ("s03.tif", with_value(np.nan)),
    "tif with infinity": ("s03.tif", with_value(np.inf)),
    "png of one grey value": ("s03.png", encoded("PNG", np.full(SIZE, 7, np.uint8))),
    "png of one pixel": ("s03.png", encoded("PNG", np.full((1, 1), 7, np.uint8))),
    "png with a text that unpacks to 256 MB": ("s03.png", bomb()),
    "gif": ("s03.gif", encoded("GIF")),
    "gif named .png": ("s03.png", encoded("GIF")),
    "bmp named .tif": ("s03.tif", encoded("BMP")),
    "file of unknown suffix": ("s03.dat", encoded("PNG")),
    "file without suffix": ("s03", encoded("PNG")),
    "PostScript named .png": ("s03.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
}

WRITERS = {
    "folder named as an image": ("s03.png", Path.mkdir),
    "named pipe": ("s03.png", os.mkfifo),
    "link to nothing": ("s03.png", partial(link, "nowhere.png")),
    "link to itself": ("s03.png", partial(link, "s03.png")),
    "link out of the folder": ("s03.png", partial(link, "../secret.png")),
    "link to a device": ("s03.png", partial(link, "/dev/zero")),
}

FAULTS = [
    *damaged_files("png", "s03.png", encoded("PNG")),
    *damaged_files("jpg", "s03.jpg", encoded("JPEG")),
    *damaged_files("tif", "s03.tif", encoded("TIFF")),
    *damaged_files("tif, packed,", "s03.tif", encoded("TIFF", compression="tiff_lzw")),
    *(
        Fault(what, name, partial(write_bytes, content))
        for what, (name, content) in CONTENTS.items()
    ),
    *(Fault(what, name, write) for what, (name, write) in WRITERS.items()),
]
