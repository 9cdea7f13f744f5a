"""Encoders and interrupted trainings on disk. Nothing here can run code from a file."""

import logging
import os
from pathlib import Path

import torch

from lmcore import __version__
from lmcore.discovery.encoder import Encoder
from lmcore.discovery.encoder_file import (
    FORMAT,
    KIND,
    read_encoder_file,
    read_tensors,
    write_tensors,
)
from lmcore.discovery.heatmaps import build_encoder
from lmcore.errors import InputError
from lmcore.registration.spline import KERNELS

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
        encoder = _build(content, os.path.getsize(path))
    except Exception:  # what the file claims may be of any type
        raise InputError(f"encoder {path} is damaged: its weights do not fit it") from None
    if (channels := encoder.settings["channels"]) != 1:
        raise InputError(f"encoder {path} takes images of {channels} channels, all here are grey")
    if content["kernel"] not in KERNELS:
        raise InputError(f"encoder {path} is damaged: its kernel is {content['kernel']!r}")
    if not all(value.isfinite().all() for value in encoder.state_dict().values()):
        raise InputError(f"encoder {path} is damaged: its weights are not all finite")
    return encoder.eval(), content


def _build(content: dict, size: int) -> Encoder:
    """The encoder of a file of `size` bytes, which allocates no more than these.

    Raises:
        Exception: of many types, if its settings are none, or its weights others than they say.
    """
    settings, state = content["encoder"], content["state"]
    if list(settings["shape"]) != list(content["preprocessing"]["size"]):
        raise ValueError("it takes images of another size than are prepared for it")
    with torch.device("meta"):  # which has shapes and no memory
        wanted = build_encoder(**settings).state_dict()
    if {name: value.shape for name, value in wanted.items()} != {
        name: value.shape for name, value in state.items()
    }:
        raise ValueError("weights of other shapes")
    if sum(value.numel() * value.element_size() for value in state.values()) > size:
        raise ValueError("weights that share their memory")
    encoder = build_encoder(**settings)
    encoder.load_state_dict(state)
    return encoder


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
        state = read_tensors(path)
        found = state["digest"]
    except Exception:  # torch raises a dozen types for broken files
        logger.info(f"{path} cannot be read: training starts afresh")
        return None
    if found != digest:
        logger.info(f"{path} is of other settings, code or population: training starts afresh")
        return None
    return state
