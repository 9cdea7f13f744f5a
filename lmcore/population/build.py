"""From a table of subjects to a population on disk."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from lmcore.errors import InputError
from lmcore.population.preprocessing import Preprocessing, automatic_size, prepare_image
from lmcore.population.readers import read_image, read_shape
from lmcore.population.splits import assign_splits, write_splits
from lmcore.population.store import Record, write_population
from lmcore.population.table import Subject, name_some, read_subjects
from lmcore.progress import Progress
from lmcore.seeds import derive_seed

Item, Result = TypeVar("Item"), TypeVar("Result")


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
) -> None:
    """Read a user's table, prepare every image, draw the splits, and write both.

    Arguments:
        table: the subjects, see `read_subjects`.
        root: the folder the table's paths are relative to, or None for the table's own.
        settings: size, (H, W) or None for one that suits the images, and intensity.
        fractions: of train, validation and test, where the table names no split.
        class_column: the label to stratify the splits by, or None.
        seed: the configuration's.
        population_path: population.h5, see `write_population`.
        subjects_path: subjects.csv, see `write_splits`.
        workers: threads that read images.
        digest: of the settings, kept in population.h5.
    Raises:
        InputError: for a fault of the table, or for all unusable images at once; neither
            file is written then.
    """
    subjects = read_subjects(table, root, class_column)
    splits = _splits(subjects, class_column, fractions, derive_seed(seed, "splits"))
    size = settings["size"] or _suitable_size(subjects, workers)
    preprocessing = Preprocessing(tuple(size), settings["intensity"])
    write_population(
        population_path,
        [subject.subject for subject in subjects],
        preprocessing.size,
        1,
        preprocessing.to_dict(),
        _prepared(subjects, preprocessing, workers),
        digest,
    )
    write_splits(subjects_path, subjects, splits)


def _splits(
    subjects: Sequence[Subject],
    class_column: str | None,
    fractions: Mapping[str, float],
    seed: int,
) -> list[str]:
    labels = [subject.labels[class_column] for subject in subjects] if class_column else None
    given = {subject.subject: subject.split for subject in subjects if subject.split}
    splits = assign_splits([s.subject for s in subjects], labels, fractions, seed, given)
    for split in ("train", "validation", "test"):
        if (count := splits.count(split)) < 2:
            raise InputError(
                f"split {split} gets {count} of {len(subjects)} subjects and pairs need two: "
                "give more subjects or change population.split"
            )
    return splits


def _suitable_size(subjects: Sequence[Subject], workers: int) -> tuple[int, int]:
    """A size from the images' headers; a file without one is reported on reading."""

    def shape_or_none(subject: Subject) -> tuple[int, int] | None:
        try:
            return read_shape(subject.image_path)
        except InputError:
            return None

    shapes = list(map_in_order(shape_or_none, subjects, workers))
    return automatic_size([shape for shape in shapes if shape] or [(1, 1)])


def _prepared(
    subjects: Sequence[Subject], preprocessing: Preprocessing, workers: int
) -> Iterator[Record]:
    """Each subject's record for the store.

    Raises:
        InputError: at the end, naming every image that could not be used.
    """

    def prepare(subject: Subject) -> Record | InputError:
        try:
            array = read_image(subject.image_path)
        except InputError as error:
            return error
        return *prepare_image(array, preprocessing), array.shape

    progress = Progress("Preparing images", len(subjects), "images")
    faults = []
    results = map_in_order(prepare, subjects, workers)
    for done, (subject, result) in enumerate(zip(subjects, results, strict=True), 1):
        if isinstance(result, InputError):
            faults.append(f"{subject.subject} ({result})")
        elif not faults:  # after a fault the rest is only looked through
            yield result
        progress.update(done)
    if faults:
        raise InputError(
            f"{len(faults)} of {len(subjects)} images cannot be used: {name_some(faults)}; "
            "mend them or take them out of the table"
        )


def map_in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """`map` by threads, in order, never more than two items a worker ahead.

    `ThreadPoolExecutor.map` would hold every result that is not yet fetched.
    """
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
