"""The file of an encoder: read without building the network, and never running code from it."""

import io
import os
import zipfile

import torch

from lmcore.errors import InputError
from lmcore.files import whole_file
from lmcore.population.preprocessing import Preprocessing
from lmcore.population.table import can_be_read

KIND, FORMAT = "lmcore landmark encoder", 1
NEEDED = {"encoder", "state", "kernel", "preprocessing"}


def read_encoder_file(path: str | os.PathLike) -> dict:
    """Everything that an encoder's file holds: weights, preprocessing, kernel, settings.

    Raises:
        InputError: if the file is no encoder of this project, was written by a newer version,
            or holds anything that would have to be unpickled as code.
    """
    if not can_be_read(path):
        raise InputError(f"encoder {path} does not exist, or is no file")
    try:
        content = read_tensors(path)
    except Exception:  # torch raises a dozen types for broken or hostile files
        raise InputError(f"{path} is not an encoder of this project (or is damaged)") from None
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise InputError(f"{path} is not an encoder of this project")
    if content.get("format") != FORMAT:
        raise InputError(
            f"encoder {path} has format {content.get('format')}, this version reads {FORMAT}: "
            f"use lmcore {content.get('lmcore')} or train again"
        )
    if missing := sorted(NEEDED - content.keys()):
        raise InputError(f"encoder {path} is damaged: it lacks {', '.join(missing)}")
    try:
        Preprocessing.from_dict(content["preprocessing"])
    except InputError as error:
        raise InputError(f"encoder {path} is damaged: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(f"encoder {path} is damaged: its preprocessing is none") from None
    return content


def read_tensors(path: str | os.PathLike) -> dict:
    """What `write_tensors` wrote, to the last bit: torch itself compares no checksum.

    Raises:
        Exception: of many types, for a file that is damaged, or would have to run code.
    """
    with zipfile.ZipFile(path) as archive:
        # neither packed nor a folder, as which torch would read zeros
        plain = all(not part.compress_type and not part.external_attr for part in archive.filelist)
        if not plain or archive.testzip() is not None:
            raise ValueError(f"{path} is damaged")
    return torch.load(path, map_location="cpu", weights_only=True)


def write_tensors(path: str | os.PathLike, content: dict) -> None:
    """Write tensors and plain values, whole or not at all, the same bytes every time."""
    # Through memory: torch names the archive inside after the file, and the file is temporary.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with whole_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
