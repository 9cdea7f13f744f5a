import contextlib
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lmcore.errors import InputError
from lmcore.population.readers import LUMINANCE, read_image, read_shape

# pytest undoes the filter that the module sets
pytestmark = pytest.mark.filterwarnings(r"ignore:.*:UserWarning:PIL\.")
GREY = (np.arange(3 * 5).reshape(3, 5) * 17).astype(np.uint8)  # 3 high, 5 wide
COLOUR = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
LUMINANCE_OF_COLOUR = COLOUR @ np.array(LUMINANCE)


def check(path: Path, expected: np.ndarray, atol: float = 1e-9) -> None:
    read = read_image(path)
    assert read.dtype == np.float64
    np.testing.assert_allclose(read, expected, atol=atol)
    assert read_shape(path) == expected.shape


@pytest.mark.parametrize("suffix", ["png", "tif", "TIFF"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey(tmp_path, suffix, dtype):
    array = GREY.astype(dtype) * (dtype(200) if dtype == np.uint16 else dtype(1))
    Image.fromarray(array).save(tmp_path / f"a.{suffix}")
    check(tmp_path / f"a.{suffix}", array)


def test_big_endian_16_bit_tiff(tmp_path):
    array = GREY.astype(np.uint16) * 200
    big = Image.frombytes("I;16B", (5, 3), array.astype(">u2").tobytes())
    big.save(tmp_path / "a.tif")
    check(tmp_path / "a.tif", array)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_tiff_of_float_and_of_32_bits(tmp_path, dtype):
    array = (GREY.astype(np.float64) * 1000 - 70000).astype(dtype)
    Image.fromarray(array).save(tmp_path / "a.tif")
    check(tmp_path / "a.tif", array)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_colour_is_linear_luminance(tmp_path, suffix):
    Image.fromarray(COLOUR).save(tmp_path / f"a.{suffix}")
    check(tmp_path / f"a.{suffix}", LUMINANCE_OF_COLOUR)


def test_jpeg(tmp_path):
    smooth = np.add.outer(np.arange(24) * 3, np.arange(40) * 2).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    check(tmp_path / "a.jpg", smooth, atol=4)
    Image.fromarray(np.stack([smooth] * 3, axis=-1)).convert("CMYK").save(tmp_path / "b.jpeg")
    check(tmp_path / "b.jpeg", smooth, atol=8)


def test_two_levels(tmp_path):
    Image.fromarray(GREY > 100).save(tmp_path / "a.png")
    check(tmp_path / "a.png", np.where(GREY > 100, 255, 0))


def test_transparency_is_laid_over_white(tmp_path):
    alpha = np.zeros((3, 5), np.uint8)
    alpha[:, 2:] = 255
    alpha[0, 0] = 51  # a fifth
    Image.fromarray(np.dstack([COLOUR, alpha])).save(tmp_path / "a.png")
    expected = np.where(alpha == 255, LUMINANCE_OF_COLOUR, 255.0)
    expected[0, 0] = 0.2 * LUMINANCE_OF_COLOUR[0, 0] + 0.8 * 255
    check(tmp_path / "a.png", expected, atol=1)  # Pillow rounds each channel
    Image.fromarray(np.dstack([GREY, alpha])).save(tmp_path / "b.png")
    expected = np.where(alpha == 255, GREY, 255.0)
    expected[0, 0] = 0.8 * 255
    check(tmp_path / "b.png", expected, atol=1)


def palette_image() -> tuple[Image.Image, np.ndarray]:
    index = (np.arange(15).reshape(3, 5) % 4).astype(np.uint8)
    colours = np.array([[10, 20, 30], [200, 0, 0], [0, 100, 50], [90, 90, 90]], np.uint8)
    image = Image.fromarray(index, mode=None)
    image.putpalette(colours.tobytes())
    return image, (colours @ np.array(LUMINANCE))[index]


def test_palette(tmp_path):
    image, grey = palette_image()
    image.save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "P"
    check(tmp_path / "a.png", grey)


def test_palette_with_a_transparent_colour(tmp_path):
    image, grey = palette_image()
    image.save(tmp_path / "a.png", transparency=1)
    check(tmp_path / "a.png", np.where(np.asarray(image) == 1, 255, grey))


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, -1), (8, 1)])
def test_orientation_is_applied_once(tmp_path, suffix, orientation, turns):
    array = np.add.outer(np.arange(24) * 4, np.arange(40)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(array).save(path, exif=exif, quality=95)
    check(path, np.rot90(array, turns), atol=4 if suffix == "jpg" else 0)


def test_the_content_decides_where_the_suffix_errs(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.jpg", format="PNG")
    check(tmp_path / "a.jpg", GREY)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png_of_size(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b"\0" * 9))
    return b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b"")


def encoded(format: str, **options) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (60, 40), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format=format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.png", b"", "empty"),
        ("a.png", b"hello", "not a PNG, JPEG or TIFF"),
        ("a.tif", encoded("PNG")[4:], "not a PNG"),
        ("a.png", b"GIF89a" + bytes(30), "not a PNG"),
        ("a.gif", b"", "no reader for '.gif' files; known are .png, .jpg"),
        ("a", b"", "no reader for ''"),
        ("a.png", png_of_size(9000, 9000), "9,000 x 9,000 pixels are too many"),
        ("a.png", png_of_size(60000, 60000), "too large"),
        ("a.png", png_of_size(0, 5), r"a\.png"),
        ("a.png", png_of_size(500, 500), "truncated"),
    ],
)
def test_what_is_no_usable_image(tmp_path, name, content, fault):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=fault) as error:
        read_image(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize("part", [0.02, 0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    ("suffix", "options"),
    [("png", {}), ("jpg", {}), ("tif", {}), ("tif", {"compression": "tiff_lzw"})],
)
def test_truncated_files(tmp_path, suffix, options, part):
    format = {"png": "PNG", "jpg": "JPEG", "tif": "TIFF"}[suffix]
    whole = encoded(format, **options)
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(InputError, match=rf"a\.{suffix}"):
        read_image(path)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF"])
def test_damaged_bytes_never_raise_anything_else(tmp_path, format):
    random = np.random.default_rng(1)
    whole = np.frombuffer(encoded(format), np.uint8)
    path = tmp_path / "a.png"
    for _ in range(60):
        damaged = whole.copy()
        damaged[random.integers(0, len(whole), 8)] = random.integers(0, 256, 8)
        damaged[random.integers(0, 200, 2)] = random.integers(0, 256, 2)  # the header too
        path.write_bytes(damaged.tobytes())
        with contextlib.suppress(InputError):
            assert np.isfinite(read_image(path)).all()


def test_no_flipped_bit_of_a_png_is_let_in(tmp_path):
    """Every part of it has a checksum, which Pillow does not compare to its end."""
    path = tmp_path / "a.png"
    whole = encoded("PNG")
    path.write_bytes(whole)
    expected = read_image(path)
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 16
        path.write_bytes(damaged)
        with contextlib.suppress(InputError):
            np.testing.assert_array_equal(read_image(path), expected)


def test_damage_is_one_error_and_no_warning(tmp_path):
    """Pillow would write warnings of its own beside our error."""
    (tmp_path / "a.tif").write_bytes(encoded("TIFF")[:60])
    (tmp_path / "b.tif").write_bytes(encoded("TIFF", compression="tiff_lzw")[:900])
    (tmp_path / "c.png").write_bytes(png_of_size(10_000, 10_000))
    program = """
import sys
from lmcore.errors import InputError
from lmcore.population.readers import read_image
for path in sys.argv[1:]:
    try:
        read_image(path)
    except InputError:
        print("refused")
"""
    paths = sorted(map(str, tmp_path.iterdir()))
    result = subprocess.run(
        [sys.executable, "-c", program, *paths], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["refused"] * 3
    assert result.stderr == ""


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers(tmp_path, value):
    array = GREY.astype(np.float32)
    array[2, 1] = value
    Image.fromarray(array).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif: .*NaN or infinite"):
        read_image(tmp_path / "a.tif")


def test_a_constant_image(tmp_path):
    Image.fromarray(np.full((4, 6, 3), 128, np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: the image is constant \(128\)"):
        read_image(tmp_path / "a.png")


def test_several_images_in_a_file(tmp_path):
    pages = [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match=r"a\.tif: 2 images in one file; a 2D population"):
        read_image(tmp_path / "a.tif")


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.png: no such file"):
        read_image(tmp_path / "none.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match=r"folder\.png: unreadable"):
        read_image(tmp_path / "folder.png")
