"""Reading the images of a population."""

import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from lmcore.errors import InputError, lack_of_memory

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "TIFF")
# Keeps a file whose few bytes claim a huge image from filling the memory; a worker
# needs about 35 bytes a pixel
MAX_PIXELS = 64_000_000
LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601
ORIENTATION = 0x0112  # EXIF

# Pillow warns of damage and of size where we raise an error of one line
warnings.filterwarnings("ignore", module=r"PIL\.")


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read a 2D image as grey.

    Colour becomes luminance, transparency is laid over white, an orientation in the
    file's EXIF data is applied, so that the array is what a viewer shows.

    Arguments:
        path: PNG, JPEG or TIFF of grey (8, 16 or 32 bit, float), two-level, palette or
            colour, with or without transparency. Colour is read with 8 bits a channel.
    Returns:
        (H, W) float64 on the file's own scale: 0 to 255 for 8 bits, two-level images and
        colour, 0 to 65535 for 16 bits, as stored for float.
    Raises:
        InputError: if it is no such file, cannot be decoded to its end, holds several
            images, is too large, holds NaN or infinity, or is constant.
    """
    with _opened(path, whole=True) as image:
        grey = _to_grey(ImageOps.exif_transpose(image))
    if not np.isfinite(grey).all():
        raise InputError(f"{path}: the image holds NaN or infinite values; replace them")
    if grey.min() == grey.max():
        raise InputError(f"{path}: the image is constant ({grey.flat[0]:g}); it shows nothing")
    return grey


def read_label_image(path: str | os.PathLike) -> np.ndarray:
    """Read a 2D segmentation: the labels as they are stored, a palette's indices among them.

    Arguments:
        path: PNG or TIFF of grey, two levels, or a palette; JPEG would blur labels.
    Returns:
        (H, W) int32, from 0.
    Raises:
        InputError: if it is no such file, or holds others than whole numbers from 0.
    """
    with _opened(path, whole=True) as image:
        mode, format = image.mode, image.format
        labels = np.asarray(ImageOps.exif_transpose(image)) if mode[0] in "1LPIF" else None
    if format not in ("PNG", "TIFF") or mode in ("LA", "PA") or labels is None:
        raise InputError(
            f"{path}: a segmentation is a PNG or TIFF of one label a pixel, this is "
            f"{format} in mode {mode}"
        )
    if not np.isfinite(labels).all() or (labels != np.round(labels)).any() or labels.min() < 0:
        raise InputError(f"{path}: a segmentation holds whole numbers from 0, this holds others")
    return labels.astype(np.int32)


def read_shape(path: str | os.PathLike) -> tuple[int, int]:
    """(H, W) of the array that `read_image` returns, from the file's header alone.

    Raises:
        InputError: if the header cannot be read.
    """
    with _opened(path) as image:
        width, height = image.size
        # A TIFF's size is that of the turned image already. Without EXIF data in the
        # header Pillow would load a whole PNG to look behind it
        turned = (
            image.format != "TIFF"
            and "exif" in image.info
            and image.getexif().get(ORIENTATION, 1) >= 5
        )
    return (width, height) if turned else (height, width)


@contextlib.contextmanager
def _opened(path: str | os.PathLike, whole: bool = False) -> Iterator[Image.Image]:
    """The image with its header read; what is no single 2D image is refused.

    Arguments:
        whole: whether the pixels will be read. The checksums of a PNG, which Pillow ignores at
            its end, are then compared.

    Raises:
        InputError: for that, and for whatever the decoder raises inside the block.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"{path}: no reader for '{path.suffix}' files; known are {', '.join(SUFFIXES)}"
        )
    try:
        # A file, not its name: by name Pillow 12 maps an uncompressed TIFF into memory and
        # garbles it if it has to be turned
        with path.open("rb") as file:
            image = Image.open(file, formats=FORMATS)
            _check_header(path, image)
            if whole and image.format == "PNG":
                image.verify()  # after which an image is of no more use
                image = Image.open(file, formats=FORMATS)
            yield image
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: the image is too large; scale it down") from error
    except Image.UnidentifiedImageError as error:
        what = "not a PNG, JPEG or TIFF image" if path.stat().st_size else "the file is empty"
        raise InputError(f"{path}: {what}") from error
    except Exception as error:  # decoders fail in many ways on damaged bytes
        if lack := lack_of_memory(error):
            raise MemoryError(lack) from error
        raise InputError(f"{path}: unreadable, damaged or truncated image ({error})") from error


def _check_header(path: Path, image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path}: {width:,} x {height:,} pixels are too many; scale it down to at most "
            f"{MAX_PIXELS // 1_000_000} million"
        )
    # An MPO is a camera's JPEG with its preview; the first frame is the picture
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise InputError(f"{path}: {frames} images in one file; a 2D population takes one a file")


def _to_grey(image: Image.Image) -> np.ndarray:
    if image.mode[0] in "IF":  # 16 and 32 bits; convert() would clip them to 8
        return np.asarray(image, dtype=np.float64)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode in ("L", "1"):
        return np.asarray(image.convert("L"), dtype=np.float64)
    colour = np.asarray(image.convert("RGB"))
    return sum(weight * colour[..., c] for c, weight in enumerate(LUMINANCE))
