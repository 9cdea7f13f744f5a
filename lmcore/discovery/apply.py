"""A trained encoder on images and scans it has never seen, prepared as it knows them."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from lmcore.discovery.checkpoint import load_encoder
from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.points.landmarks import landmark_table
from lmcore.population.prepare import read_and_prepare
from lmcore.population.preprocessing import Preprocessing
from lmcore.population.table import (
    HDF5_DATASET,
    VOLUME_SUFFIXES,
    can_be_read,
    file_part,
    is_volume,
    name_some,
)
from lmcore.progress import Progress

logger = logging.getLogger("lmcore")

StrPath = str | os.PathLike
Spacing = float | tuple[float, float, float] | None


class Model:
    """An encoder with the preprocessing it was trained with.

    Arguments:
        path: of encoder.pt.
    """

    def __init__(self, path: StrPath):
        self.path = path
        self.encoder, content = load_encoder(path)
        self.preprocessing = Preprocessing.from_dict(content["preprocessing"])
        self.kernel: str = content["kernel"]

    @property
    def size(self) -> tuple[int, ...]:
        """Array shape of prepared images, (H, W) or (D, H, W)."""
        return self.preprocessing.size

    @torch.no_grad()
    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(M, d) float64 landmarks in [-1, 1] of a prepared image (1, *size)."""
        return self.encoder(torch.from_numpy(image)[None])[0].double().numpy()

    def check(
        self,
        images: Sequence[StrPath],
        spacing: Spacing = None,
        segmentations: Sequence[StrPath] = (),
        reflect: bool = False,
    ) -> None:
        """Refuse images of another dimension, and options that this encoder has no use for.

        Warns of scans without the segmentation that the encoder aligns by.

        Raises:
            InputError: naming them.
        """
        volumes = len(self.size) == 3
        kind = "volumes" if volumes else "2D images"
        images = [os.fspath(image) for image in images]
        files = [file_part(path) for path in (*images, *map(os.fspath, segmentations))]
        if missing := [file for file in files if not can_be_read(file)]:
            raise InputError(f"{name_some(missing)}: no such file")
        if others := [image for image in images if is_volume(image) != volumes]:
            raise InputError(
                f"{name_some(others)}: the encoder {self.path} was trained on {kind}: give it such"
            )
        if not volumes and (spacing is not None or segmentations or reflect):
            raise InputError(
                f"spacing, segmentation and reflect are of volumes, and the encoder {self.path} "
                "was trained on 2D images: leave them out"
            )
        if reflect and self.preprocessing.reflect is None:
            raise InputError(
                f"the encoder {self.path} was trained without preprocess.reflect: leave reflect out"
            )
        if segmentations and self.preprocessing.align != "segmentation":
            raise InputError(
                f"the encoder {self.path} aligns scans by {self.preprocessing.align}: "
                "leave segmentations out"
            )
        if segmentations and len(segmentations) != len(images):
            raise InputError(
                f"{len(segmentations)} segmentations for {len(images)} scans: give every scan "
                "its own, in their order"
            )
        if volumes and self.preprocessing.align == "segmentation" and not segmentations:
            logger.warning(
                f"aligned by intensity, since no segmentation was given: {name_some(images)}; the "
                f"encoder {self.path} was trained on scans centred by theirs, and landmarks of "
                "scans that are centred otherwise may be some millimetres off"
            )


def discover_images(
    model_path: StrPath,
    images: Sequence[StrPath],
    output: StrPath,
    spacing: Spacing = None,
    segmentations: Sequence[StrPath] = (),
    reflect: bool = False,
) -> None:
    """Write the landmark table of files, in pixels of the image or RAS mm of the scan.

    Arguments:
        model_path: encoder.pt.
        images: all of the encoder's dimension; a folder is a DICOM series.
        output: CSV to write; see `subject_names` for its column subject.
        spacing: mm, of volumes that carry none.
        segmentations: none, or one for each scan, where the encoder aligns scans by them. A scan
            without one is aligned by its intensity, as such scans were in training.
        reflect: whether the scans are of the side that was reflected in training.
    Raises:
        InputError: if the model or an image cannot be read, they do not fit each other, or two
            images have one name.
    """
    model = Model(model_path)
    subjects = subject_names(images)
    model.check(images, spacing, segmentations, reflect)
    points, affines = [], []
    progress = Progress("landmarks", len(images), "images")
    for done, path in enumerate(images, 1):
        segmentation = segmentations[done - 1] if segmentations else None
        image, affine = read_and_prepare(path, model.preprocessing, spacing, segmentation, reflect)
        points.append(model(image))
        affines.append(affine)
        progress.update(done)
    numbers = list(range(1, len(points[0]) + 1))
    table = landmark_table(subjects, np.stack(points), numbers, model.size, np.stack(affines))
    write_csv(output, table)


def subject_names(images: Sequence[StrPath]) -> list[str]:
    """The files' or folders' names without their suffix.

    Of several datasets in one HDF5 file, with the dataset behind it: `scans.h5:/a/t1` becomes
    scans-a-t1.

    Raises:
        InputError: if two are the same.
    """
    texts = [os.fspath(image) for image in images]
    datasets = Counter(file_part(text) for text in texts)
    subjects = []
    for text in texts:
        file = file_part(text)
        name = Path(os.path.abspath(file)).name
        suffix = next((s for s in (".nii.gz", *VOLUME_SUFFIXES) if name.lower().endswith(s)), None)
        if not os.path.isdir(file):
            name = name[: -len(suffix)] if suffix else Path(name).stem
        if HDF5_DATASET.fullmatch(text) and datasets[file] > 1:
            name = "-".join([name, *text[len(file) + 1 :].strip("/").split("/")])
        subjects.append(name)
    twice = sorted(name for name, count in Counter(subjects).items() if count > 1)
    if twice:
        raise InputError(f"two images are named {twice[0]}: rename one, names tell them apart")
    return subjects
