"""From a table of subjects to a population on disk."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lmcore.errors import InputError
from lmcore.population.build_images import image_records, suitable_preprocessing
from lmcore.population.build_volumes import survey_volumes, volume_records
from lmcore.population.checks import check_settings, check_training
from lmcore.population.preprocessing import Preprocessing
from lmcore.population.region import Medoid, region_mask
from lmcore.population.splits import draw_splits, write_splits
from lmcore.population.store import Record, write_population
from lmcore.population.table import Subject, is_volume, read_subjects
from lmcore.population.volume_preprocessing import VolumePreprocessing
from lmcore.seeds import derive_seed


def preprocess_population(
    table: str | os.PathLike,
    root: str | os.PathLike | None,
    settings: Mapping,
    fractions: Mapping[str, float],
    class_column: str | None,
    seed: int,
    population_path: str | os.PathLike,
    subjects_path: str | os.PathLike,
    workers: int = 2,
    digest: str = "",
    control: str | None = None,
    train_on: str = "all",
    segmentation_label: int | None = None,
    pretrained: Mapping | None = None,
    person_column: str | None = None,
) -> None:
    """Read a user's table, draw the splits, prepare every image or volume, and write both.

    Arguments:
        table: the subjects, see `read_subjects`.
        root: the folder the table's paths are relative to, or None for the table's own.
        settings: the block `preprocess`, see `checks.DEFAULTS`.
        fractions: of train, validation and test, where the table names no split.
        class_column: the label to stratify the splits by, or None.
        seed: the configuration's.
        population_path: population.h5, see `write_population`.
        subjects_path: subjects.csv, see `write_splits`.
        workers: threads that read images.
        digest: of the settings, kept in population.h5.
        control: the class of the controls, or None.
        train_on: all, or control: everybody else is held out.
        segmentation_label: the label to take, None for all that is not 0.
        pretrained: the preprocessing of an encoder that is to be applied, or None. Images are
            then prepared as it knows them, whatever the settings.
        person_column: the label that says whom a scan is of; a person's scans share a split.
    Raises:
        InputError: for a fault of the table or the settings, or for all unusable subjects at
            once; neither file is written then.
    """
    subjects = read_subjects(table, root, class_column)
    settings = check_settings(subjects, settings)
    control = None if control is None else str(control)
    check_training(subjects, class_column, control, train_on)
    splits = draw_splits(
        subjects,
        class_column,
        fractions,
        derive_seed(seed, "splits"),
        only=control if train_on == "control" else None,
        person_column=person_column,
    )
    training = [split == "train" for split in splits]
    preprocessing = _preprocessing(
        subjects, training, settings, segmentation_label, pretrained, workers
    )
    volumes = isinstance(preprocessing, VolumePreprocessing)
    spacing = preprocessing.spacing if volumes else 1.0
    region = settings["region"]
    records = volume_records if volumes else image_records
    typical = Medoid()
    candidates = {
        subject.subject
        for subject, trains in zip(subjects, training, strict=True)
        if trains and (not class_column or control in (None, subject.labels[class_column]))
    }
    write_population(
        population_path,
        [subject.subject for subject in subjects],
        preprocessing.size,
        1,
        preprocessing.to_dict(),
        _watched(
            subjects,
            records(subjects, preprocessing, segmentation_label, workers),
            candidates,
            typical,
        ),
        digest,
        spacing=spacing,
        segmented=any(subject.segmentation_path for subject in subjects),
        mask=region_mask(region, preprocessing.size, spacing) if region else None,
        medoid=typical.find,
    )
    write_splits(subjects_path, subjects, splits)


def _preprocessing(
    subjects: Sequence[Subject],
    training: Sequence[bool],
    settings: Mapping,
    label: int | None,
    pretrained: Mapping | None,
    workers: int,
) -> Preprocessing | VolumePreprocessing:
    given = None if pretrained is None else Preprocessing.from_dict(dict(pretrained))
    volumes = is_volume(subjects[0].image_path)
    if given is not None and isinstance(given, VolumePreprocessing) != volumes:
        kinds = ("2D images", "volumes")
        raise InputError(
            f"model.pretrained was trained on {kinds[not volumes]}, "
            f"the table holds {kinds[volumes]}"
        )
    if volumes:
        return survey_volumes(subjects, training, settings, label, given, workers)
    if given is not None:
        return given
    return suitable_preprocessing(subjects, settings, workers)


def _watched(
    subjects: Sequence[Subject],
    records: Iterable[Record],
    candidates: set[str],
    typical: Medoid,
) -> Iterator[Record]:
    """The records; the medoid sees those of its candidates as they pass."""
    for subject, record in zip(subjects, records, strict=True):
        if subject.subject in candidates:
            typical.add(subject.subject, record.image[0])
        yield record
