"""The records of a population of 2D images."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from lmcore.errors import InputError
from lmcore.population.parallel import for_every_subject, map_in_order
from lmcore.population.preprocessing import (
    Preprocessing,
    automatic_margin,
    automatic_size,
    prepare_image,
    prepare_mask,
)
from lmcore.population.readers import read_image, read_label_image, read_shape
from lmcore.population.segmentations import check_prepared, distance_transform, select_label
from lmcore.population.store import Record
from lmcore.population.table import Subject


def suitable_preprocessing(
    subjects: Sequence[Subject], settings: Mapping, workers: int
) -> Preprocessing:
    """What the settings say of images; size and margin, where they say none, by their headers."""
    size, margin = settings["size"], settings["margin"]
    if size is None or margin is None:
        shapes = _shapes(subjects, workers)
        margin = automatic_margin(shapes) if margin is None else margin
        size = size or automatic_size(shapes, margin)
    return Preprocessing(tuple(size), settings["intensity"], margin)


def _shapes(subjects: Sequence[Subject], workers: int) -> list[tuple[int, int]]:
    """(h, w) by the images' headers; a file without one is reported on reading."""

    def shape_or_none(subject: Subject) -> tuple[int, int] | None:
        try:
            return read_shape(subject.image_path)
        except InputError:
            return None

    found = map_in_order(shape_or_none, subjects, workers)
    return [shape for shape in found if shape] or [(1, 1)]


def image_records(
    subjects: Sequence[Subject], preprocessing: Preprocessing, label: int | None, workers: int
) -> Iterator[Record]:
    """Each subject's record for the store.

    Raises:
        InputError: at the end, naming every subject that could not be used.
    """
    prepare = partial(_prepare, preprocessing=preprocessing, label=label)
    return for_every_subject("Preparing images", prepare, subjects, workers)


def _prepare(subject: Subject, preprocessing: Preprocessing, label: int | None) -> Record:
    array = read_image(subject.image_path)
    image, affine = prepare_image(array, preprocessing)
    path = subject.segmentation_path
    if path is None:
        return Record(image, affine, array.shape)
    mask = _read_mask(path, array.shape, subject, label)
    segmentation = prepare_mask(mask, preprocessing)
    check_prepared(segmentation, path)
    return Record(image, affine, array.shape, segmentation, distance_transform(segmentation, 1.0))


def _read_mask(path, shape: tuple[int, int], subject: Subject, label: int | None) -> np.ndarray:
    labels = read_label_image(path)
    if labels.shape != shape:
        raise InputError(
            f"the segmentation {path} has {labels.shape[1]} x {labels.shape[0]} pixels, its image "
            f"{subject.image_path} {shape[1]} x {shape[0]}; they have to be the same"
        )
    return select_label(labels, label, path)
