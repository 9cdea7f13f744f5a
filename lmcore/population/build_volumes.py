"""The records of a population of volumes."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from lmcore.population.checks import check_sides
from lmcore.population.parallel import for_every_subject
from lmcore.population.segmentations import check_prepared, distance_transform, resample_mask
from lmcore.population.store import Record
from lmcore.population.survey import (
    check_fit,
    choose_preprocessing,
    read_subject,
    survey_subject,
)
from lmcore.population.table import Subject, name_some
from lmcore.population.volume_preprocessing import VolumePreprocessing, about, prepare_volume

logger = logging.getLogger("lmcore")


def survey_volumes(
    subjects: Sequence[Subject],
    training: Sequence[bool],
    settings: Mapping,
    label: int | None,
    preprocessing: VolumePreprocessing | None,
    workers: int,
) -> VolumePreprocessing:
    """Look at every scan, and choose the population's preprocessing.

    Arguments:
        subjects: (N).
        training: (N) who is in the training split.
        settings: see `checks.DEFAULTS`.
        label: of the segmentations, None for all that is not 0.
        preprocessing: a pretrained encoder's, which then is the population's, or None.
        workers: threads.
    Raises:
        InputError: for all scans that cannot be used, or settings that do not suit them.
    """
    if preprocessing is not None:
        check_sides(subjects, preprocessing.reflect)
        settings = settings | {
            "align": preprocessing.align,
            "intensity": preprocessing.intensity,
            "window": preprocessing.range,
        }
    align = settings["align"]
    if align == "segmentation":
        _warn_of_missing(subjects)
    survey = partial(survey_subject, align=align, settings=settings, label=label)
    surveys = list(for_every_subject("Surveying scans", survey, subjects, workers))
    if preprocessing is None:
        mirrored = reflected(subjects, settings["reflect"])
        preprocessing = choose_preprocessing(surveys, mirrored, training, settings, label)
    check_fit(subjects, surveys, reflected(subjects, preprocessing.reflect), preprocessing)
    return preprocessing


def volume_records(
    subjects: Sequence[Subject],
    preprocessing: VolumePreprocessing,
    label: int | None,
    workers: int,
) -> Iterator[Record]:
    """Each subject's record for the store.

    Raises:
        InputError: at the end, naming every subject that could not be used.
    """
    prepare = partial(_prepare, preprocessing=preprocessing, label=label)
    return for_every_subject("Preparing scans", prepare, subjects, workers)


def reflected(subjects: Sequence[Subject], side: object) -> list[bool]:
    """(N) whether a subject is of the side that is reflected."""
    return [side is not None and subject.side == str(side) for subject in subjects]


def _prepare(subject: Subject, preprocessing: VolumePreprocessing, label: int | None) -> Record:
    scan, mask = read_subject(subject, label)
    (mirror,) = reflected([subject], preprocessing.reflect)
    with about(subject.image_path):
        image, affine = prepare_volume(scan, preprocessing, mask, mirror)
    if mask is None:
        return Record(image, affine, scan.shape, oriented=scan.oriented)
    segmentation = resample_mask(mask, scan.affine, preprocessing.size, affine)
    check_prepared(segmentation, subject.segmentation_path)
    distance = distance_transform(segmentation, preprocessing.spacing)
    return Record(image, affine, scan.shape, segmentation, distance, scan.oriented)


def _warn_of_missing(subjects: Sequence[Subject]) -> None:
    missing = [subject.subject for subject in subjects if subject.segmentation_path is None]
    if missing:
        logger.warning(
            f"{len(missing)} subjects without a segmentation are aligned by intensity: "
            f"{name_some(missing)}"
        )
