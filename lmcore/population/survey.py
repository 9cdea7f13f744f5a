"""A first look at every scan of a population, from which its common grid is chosen."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lmcore.errors import InputError
from lmcore.population.checks import parse_spacing
from lmcore.population.grids import aligned_box, common_box, common_grid, field_of_view
from lmcore.population.intensity import mean_range
from lmcore.population.segmentations import mask_box, read_segmentation
from lmcore.population.table import Subject, name_some
from lmcore.population.volume_preprocessing import (
    VolumePreprocessing,
    about,
    mirrored,
    scan_range,
    subject_centre,
)
from lmcore.population.volumes import Volume, read_volume

logger = logging.getLogger("lmcore")


@dataclass(frozen=True)
class Survey:
    """What is kept of a scan; all boxes (2, 3) and centres (3,) in RAS mm.

    Attributes:
        field: the box of the field of view.
        centre: the subject's own, by its segmentation where that is asked for and there is one.
        intensity_centre: that of the intensity, where alignment is by segmentation.
        segmentation: the box of the segmentation, or None.
        ends: the intensities that become 0 and 1.
    """

    field: np.ndarray
    centre: np.ndarray
    intensity_centre: np.ndarray | None
    segmentation: np.ndarray | None
    ends: tuple[float, float]


def read_subject(subject: Subject, label: int | None) -> tuple[Volume, np.ndarray | None]:
    """A subject's scan and the (z, y, x) bool of its segmentation, if it has one.

    Raises:
        InputError: if either cannot be used.
    """
    spacing = parse_spacing(subject)
    scan = read_volume(subject.image_path, spacing)
    if subject.segmentation_path is None:
        return scan, None
    path = subject.segmentation_path
    return scan, read_segmentation(path, scan, subject.image_path, label, spacing)


def survey_subject(subject: Subject, align: str, settings: Mapping, label: int | None) -> Survey:
    """Read a subject and keep what the choice of the grid needs.

    Raises:
        InputError: if it cannot be used.
    """
    scan, mask = read_subject(subject, label)
    with about(subject.image_path):
        centre = subject_centre(scan, align, mask)
        by_intensity = subject_centre(scan, "intensity") if align == "segmentation" else None
    return Survey(
        field=field_of_view(scan.affine, scan.shape),
        centre=centre,
        intensity_centre=by_intensity,
        segmentation=None if mask is None else mask_box(mask, scan.affine),
        ends=scan_range(scan, settings["intensity"], settings["window"])[0],
    )


def choose_preprocessing(
    surveys: Sequence[Survey],
    reflected: Sequence[bool],
    training: Sequence[bool],
    settings: Mapping,
    label: int | None,
) -> VolumePreprocessing:
    """The population's preprocessing from the settings and the scans.

    Intensities over the training split and the offset of scans without a segmentation come from
    its subjects alone; the grid has to hold everybody.

    Arguments:
        surveys: (N) of all subjects.
        reflected, training: (N) who is reflected, and who is in the training split.
        settings: see `checks.DEFAULTS`.
        label: of the segmentations, None for all that is not 0.
    Raises:
        InputError: if there is no such grid.
    """
    offset = np.zeros(3)
    if settings["align"] == "segmentation":
        offset = _offset(surveys, reflected, training)
    fields, segmentations = aligned_boxes(surveys, reflected, offset)
    box = common_box(
        settings["crop"],
        settings["align"],
        fields,
        [one for one in segmentations if one is not None],
    )
    size, spacing = common_grid(box[1] - box[0], settings["size"], settings["spacing"])
    ends = settings["window"]
    if ends is None and settings["intensity_over"] == "training":
        ends = mean_range([s.ends for s, trains in zip(surveys, training, strict=True) if trains])
    return VolumePreprocessing(
        size=size,
        spacing=spacing,
        centre=tuple(box.mean(axis=0).tolist()),
        align=settings["align"],
        offset=tuple(offset.tolist()),
        reflect=None if settings["reflect"] is None else str(settings["reflect"]),
        intensity=settings["intensity"],
        range=None if ends is None else (float(ends[0]), float(ends[1])),
        segmentation_label=label,
    )


def aligned_boxes(
    surveys: Sequence[Survey], reflected: Sequence[bool], offset: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray | None]]:
    """(N) fields of view and segmentations as (2, 3) boxes in aligned mm."""
    fields, segmentations = [], []
    for survey, mirror in zip(surveys, reflected, strict=True):
        centre = survey.centre
        if survey.segmentation is None and survey.intensity_centre is not None:
            centre = centre + mirrored(offset, mirror)
        fields.append(aligned_box(survey.field, centre, mirror))
        box = survey.segmentation
        segmentations.append(None if box is None else aligned_box(box, centre, mirror))
    return fields, segmentations


def check_fit(
    subjects: Sequence[Subject],
    surveys: Sequence[Survey],
    reflected: Sequence[bool],
    preprocessing: VolumePreprocessing,
) -> None:
    """Refuse scans that miss the grid, and warn of segmentations that it cuts.

    Raises:
        InputError: naming all scans that lie outside.
    """
    half = preprocessing.spacing * np.array(preprocessing.size[::-1]) / 2
    low, high = preprocessing.centre - half, preprocessing.centre + half
    boxes = aligned_boxes(surveys, reflected, np.array(preprocessing.offset))
    outside, cut = [], []
    for subject, field, segmentation in zip(subjects, *boxes, strict=True):
        if (field[0] >= high).any() or (field[1] <= low).any():
            outside.append(f"{subject.subject} ({subject.image_path})")
        elif segmentation is not None and not (
            (segmentation[0] >= low - 1e-6).all() and (segmentation[1] <= high + 1e-6).all()
        ):
            cut.append(subject.subject)
    if outside:
        raise InputError(
            f"scans that lie outside the common box: {name_some(outside)}; set preprocess.align to "
            "image, or change preprocess.crop"
        )
    if cut:
        logger.warning(
            f"the common box cuts the segmentations of {name_some(cut)}; enlarge preprocess.crop "
            "if they matter there"
        )


def _offset(
    surveys: Sequence[Survey], reflected: Sequence[bool], training: Sequence[bool]
) -> np.ndarray:
    """(3,) aligned mm from the intensity's centre to the segmentation's, the training's median."""
    found = [
        mirrored(survey.centre - survey.intensity_centre, mirror)
        for survey, mirror, trains in zip(surveys, reflected, training, strict=True)
        if trains and survey.segmentation is not None
    ]
    return np.median(found, axis=0) if found else np.zeros(3)
