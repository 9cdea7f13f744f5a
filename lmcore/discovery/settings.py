"""What a training run is told, checked once and passed around whole."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch

from lmcore.errors import InputError


@dataclass(frozen=True)
class TrainingSettings:
    """The keys of `model` and `training` that decide an encoder, with their configuration names.

    Attributes:
        landmarks: number of learned landmarks M.
        kernel: radial basis function of the spline.
        widths, hidden, stride: of the encoder; no stride is 1 for images and 2 for volumes.
        match: similarity of the images.
        supervision: beta, the weight of the term that compares shapes; 0 has none.
        shape: what that term compares, see `Shapes`; shape_match: by which similarity.
        share: of the training subjects with a segmentation, how many show it.
        mask: whether images are compared inside the population's mask alone.
        hide: whether boxes of the moved images are hidden, see `change_intensities`.
        regularization: lambda.
        recipe: `paper` or `robust`.
        pairs: ordered pairs of two different images to see in all.
        validate_every: pairs between two validations.
        patience: validations without improvement before training stops; 0 never stops early.
        batch: images per step.
        pairing: `all` registers all ordered pairs of a step's images, `random` each image to one
            other; `neighbours` is `all` with similar images in a step.
        learning_rate: of Adam.
        grid_stride: of the control grid in training.
        gpus: 0 trains on the CPU, 1 on CUDA.
        subjects: who trains, see `splits_of`.
    """

    landmarks: int
    regularization: float
    kernel: str = "paper"
    widths: tuple[int, ...] = (32, 64, 128, 256)
    hidden: int = 512
    stride: int | None = None
    match: str = "l2"
    supervision: float = 0.0
    shape: str = "distance_transform"
    shape_match: str = "l2"
    share: float = 1.0
    mask: bool = False
    hide: bool = False
    recipe: str = "paper"
    pairs: int = 100_000
    validate_every: int = 10_000
    patience: int = 0
    batch: int = 12
    pairing: str = "all"
    learning_rate: float = 1e-3
    grid_stride: int = 4
    gpus: int = 0
    subjects: str | Mapping[str, int] = "train"

    @classmethod
    def of(cls, model: dict, training: dict, weight: float) -> "TrainingSettings":
        """From the blocks `model` and `training` of a run and the chosen lambda."""
        names = {field.name for field in fields(cls)} - {"regularization"}
        supervision = training.get("supervision") or {"weight": 0.0}
        blocks = {**model, **training}
        names_there = {"weight": "supervision", "match": "shape_match"}
        blocks |= {names_there.get(key, key): value for key, value in supervision.items()}
        given = {key: value for key, value in blocks.items() if key in names}
        given["widths"] = tuple(given.get("widths", cls.widths))
        return cls(regularization=float(weight), **given)

    def device(self) -> torch.device:
        """The device training runs on.

        Raises:
            InputError: if a GPU was asked for and this machine shows none.
        """
        if self.gpus and not torch.cuda.is_available():
            raise InputError(
                f"training.gpus is {self.gpus}, but no CUDA device is visible here: "
                "set training.gpus to 0, or run on a machine with a GPU"
            )
        return torch.device("cuda" if self.gpus else "cpu")
