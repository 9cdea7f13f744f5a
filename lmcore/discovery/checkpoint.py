"""Encoders and interrupted trainings on disk. Nothing here can run code from a file."""

import logging
import math
import os
from pathlib import Path

import torch
from torch.overrides import TorchFunctionMode

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
    """The encoder of a file of `size` bytes, for which no more memory is taken than these.

    Raises:
        Exception: of many types, if its settings are none, or its weights others than they say.
    """
    settings, state = content["encoder"], content["state"]
    if list(settings["shape"]) != list(content["preprocessing"]["size"]):
        raise ValueError("it takes images of another size than are prepared for it")
    if settings["landmarks"] > size:
        raise ValueError("more landmarks than its file has bytes")
    with _Budget(size):
        encoder = build_encoder(**settings)
    encoder.load_state_dict(state)
    return encoder


class _Budget(TorchFunctionMode):
    """Lets a network be built whose weights take at most so many bytes together."""

    def __init__(self, size: int):
        super().__init__()
        self.left = size

    def __torch_function__(self, function, types, arguments=(), named=None):
        if function is torch.empty:  # with which torch makes every weight
            shape = arguments if isinstance(arguments[0], int) else arguments[0]
            self.left -= 4 * math.prod(shape)
            if self.left < 0:
                raise ValueError("more weights than its file has bytes")
        return function(*arguments, **(named or {}))


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
