"""Encoders and interrupted trainings on disk. Nothing here can run code from a file."""

import io
import logging
import os
from pathlib import Path

import torch

from lmcore import __version__
from lmcore.discovery.encoder import LandmarkEncoder
from lmcore.errors import InputError
from lmcore.files import whole_file

logger = logging.getLogger("lmcore")

KIND, FORMAT = "lmcore landmark encoder", 1
NEEDED = {"encoder", "state", "kernel", "preprocessing"}


def save_encoder(path: str | os.PathLike, encoder: LandmarkEncoder, **meta: object) -> None:
    """Write an encoder with all that inference needs.

    Arguments:
        path: the file to write, whole or not at all.
        encoder: trained encoder, on any device.
        meta: plain values to keep beside it: `kernel`, `preprocessing`, settings of the training.
    """
    state = {name: value.detach().cpu() for name, value in encoder.state_dict().items()}
    _save(
        path,
        {
            "kind": KIND,
            "format": FORMAT,
            "lmcore": __version__,
            "encoder": encoder.settings,
            "state": state,
            **meta,
        },
    )


def load_encoder(path: str | os.PathLike) -> tuple[LandmarkEncoder, dict]:
    """An encoder, ready for inference on the CPU, and what was written beside it.

    Raises:
        InputError: if the file is no encoder of this project, was written by a newer version,
            or holds anything that would have to be unpickled as code.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"encoder {path} does not exist") from None
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
        encoder = LandmarkEncoder(**content["encoder"])
        encoder.load_state_dict(content["state"])
    except (KeyError, TypeError, ValueError, RuntimeError):
        raise InputError(f"encoder {path} is damaged: its weights do not fit it") from None
    return encoder.eval(), content


def save_checkpoint(path: str | os.PathLike, digest: str, state: dict) -> None:
    """Write an interrupted training, whole or not at all."""
    _save(path, {"digest": digest, **state})


def load_checkpoint(path: str | os.PathLike, digest: str) -> dict | None:
    """An interrupted training of the same settings, code and population, or None.

    A checkpoint that is damaged or of another training is left aside, and one line says so.
    """
    if not Path(path).exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["digest"]
    except Exception:  # torch raises a dozen types for broken files
        logger.info(f"{path} cannot be read: training starts afresh")
        return None
    if found != digest:
        logger.info(f"{path} is of other settings, code or population: training starts afresh")
        return None
    return state


def _save(path: str | os.PathLike, content: dict) -> None:
    # Through memory: torch names the archive inside after the file, and the file is temporary.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with whole_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
