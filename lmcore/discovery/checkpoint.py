"""Encoders and interrupted trainings on disk. Nothing here can run code from a file."""

import logging
import os
from pathlib import Path

import torch

from lmcore import __version__
from lmcore.discovery.encoder import Encoder
from lmcore.discovery.encoder_file import FORMAT, KIND, read_encoder_file, write_tensors
from lmcore.discovery.heatmaps import build_encoder
from lmcore.errors import InputError

logger = logging.getLogger("lmcore")


def save_encoder(path: str | os.PathLike, encoder: Encoder, **meta: object) -> None:
    """Write an encoder with all that inference needs.

    Arguments:
        path: the file to write, whole or not at all.
        encoder: trained encoder, on any device.
        meta: plain values to keep beside it: `kernel`, `preprocessing`, settings of the training.
    """
    state = {name: value.detach().cpu() for name, value in encoder.state_dict().items()}
    write_tensors(
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


def load_encoder(path: str | os.PathLike) -> tuple[Encoder, dict]:
    """An encoder, ready for inference on the CPU, and what was written beside it.

    Raises:
        InputError: as `read_encoder_file`, and if the weights do not fit the network.
    """
    content = read_encoder_file(path)
    try:
        encoder = build_encoder(**content["encoder"])
        encoder.load_state_dict(content["state"])
    except (KeyError, TypeError, ValueError, RuntimeError):
        raise InputError(f"encoder {path} is damaged: its weights do not fit it") from None
    return encoder.eval(), content


def save_checkpoint(path: str | os.PathLike, digest: str, state: dict) -> None:
    """Write an interrupted training, whole or not at all."""
    write_tensors(path, {"digest": digest, **state})


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
