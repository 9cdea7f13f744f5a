"""The file of an encoder: read without building the network, and never running code from it."""

import io
import os

import torch

from lmcore.errors import InputError
from lmcore.files import whole_file
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
        content = torch.load(path, map_location="cpu", weights_only=True)
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
    return content


def write_tensors(path: str | os.PathLike, content: dict) -> None:
    """Write tensors and plain values, whole or not at all, the same bytes every time."""
    # Through memory: torch names the archive inside after the file, and the file is temporary.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with whole_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
