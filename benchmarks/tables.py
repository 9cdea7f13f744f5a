"""Any table of images as the accuracy benchmark takes it: prepared, split, with what is known."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.points.geometry import apply_affine, index_to_normalised, normalised_to_index
from lmcore.population.build import preprocess_population
from lmcore.population.splits import assign_splits
from lmcore.population.store import Population
from lmcore.population.table import Subject, name_some, read_subjects
from lmcore.seeds import derive_seed

UNSEEN_SHARE = 0.4
VALIDATION_SHARE = 0.1  # of those the encoder may see
FEWEST_SUBJECTS = 10
FEWEST_OF_A_CLASS = 3  # unseen, so that each fold of a cross-validation can hold one out


@dataclass(frozen=True)
class Split:
    """Places of subjects in the population; encoders learn from the first two alone."""

    train: list[int]
    validation: list[int]
    unseen: list[int]

    @property
    def seen(self) -> list[int]:
        """Train and validation."""
        return sorted(self.train + self.validation)


def prepare(
    table: Path,
    root: Path | None,
    class_column: str | None,
    run: Mapping,
    seed: int,
    folder: Path,
    workers: int,
) -> tuple[Path, list[Subject], Split]:
    """Draw the split, ignoring one that the table has, and write folder/population.h5.

    Arguments:
        table, root, class_column: as of `read_subjects`; the split is stratified by the class.
        run: the configuration of an experiment, with its defaults, of which the block preprocess
            and population.segmentation_label count.
        workers: threads that read images.
    Raises:
        InputError: with fewer than FEWEST_SUBJECTS, and as `preprocess_population`.
    """
    root = table.parent if root is None else root
    subjects = read_subjects(table, root, class_column)
    if len(subjects) < FEWEST_SUBJECTS:
        raise InputError(
            f"{table}: {len(subjects)} subjects; at least {FEWEST_SUBJECTS} are needed to train "
            "on some and score on others"
        )
    names = draw_splits(subjects, class_column, derive_seed(seed, "accuracy"))
    rows = pd.read_csv(table, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    rows["split"] = names
    write_csv(folder / "table.csv", rows)
    preprocess_population(
        table=folder / "table.csv",
        root=root,
        settings=run["preprocess"],
        fractions={"train": 1.0, "validation": 0.0, "test": 0.0},  # the table says
        class_column=class_column,
        seed=seed,
        population_path=folder / "population.h5",
        subjects_path=folder / "subjects.csv",
        workers=workers,
        segmentation_label=run["population"]["segmentation_label"],
    )
    places = {name: [i for i, own in enumerate(names) if own == name] for name in set(names)}
    split = Split(places["train"], places["validation"], places["test"])
    return folder / "population.h5", subjects, split


def draw_splits(subjects: Sequence[Subject], class_column: str | None, seed: int) -> list[str]:
    """40 % test; of the rest a tenth, two at least, validation; stratified by class."""
    n = len(subjects)
    unseen = round(UNSEEN_SHARE * n)
    validation = max(2, round(VALIDATION_SHARE * (n - unseen)))
    counts = {"train": n - unseen - validation, "validation": validation, "test": unseen}
    labels = [subject.labels[class_column] for subject in subjects] if class_column else None
    shares = {name: count / n for name, count in counts.items()}
    return assign_splits([subject.subject for subject in subjects], labels, shares, seed)


def large_classes(classes: np.ndarray, column: str) -> tuple[np.ndarray, list[str]]:
    """Which subjects belong to a class that is large enough, and the names of those that are not.

    Raises:
        InputError: if fewer than two classes are.
    """
    names, counts = np.unique(classes, return_counts=True)
    large = names[counts >= FEWEST_OF_A_CLASS]
    if len(large) < 2:
        raise InputError(
            f"--class {column}: two classes with {FEWEST_OF_A_CLASS} unseen subjects each are "
            f"needed, there are {len(large)}: name another column or none"
        )
    return np.isin(classes, large), sorted(set(names) - set(large))


def read_hand_placed(path: Path, subjects: Sequence[Subject]) -> np.ndarray:
    """Hand-placed landmarks of the subjects, in the pixels of their original images.

    Arguments:
        path: CSV with one header line; first the subject, its image's path or file name (with or
            without suffix), then x1, y1, x2, y2, ... from the centre of the top left pixel.
    Returns:
        (N, K, 2), NaN for subjects without a row; rows of unknown subjects are ignored.
    Raises:
        InputError: if a row is no such row, two are of one subject, or none is of any.
    """
    rows = _read_rows(path)
    width = len(rows[0][1])
    found = np.full((len(subjects), (width - 1) // 2, 2), np.nan)
    places = _places(subjects)
    for line, row in rows:
        if len(row) != width or width < 3 or width % 2 == 0:
            raise InputError(
                f"{path}: line {line} has {len(row)} cells; all need a name, then x and y of the "
                "same number of landmarks"
            )
        place = places.get(row[0].strip())
        if place is None:
            continue
        try:
            values = np.array(row[1:], dtype=float)
        except ValueError:
            values = np.array([np.nan])
        if not np.isfinite(values).all():
            raise InputError(f"{path}: line {line} ({row[0]}) has a cell that is no number")
        if np.isfinite(found[place]).any():
            raise InputError(f"{path}: line {line} is another row of {subjects[place].subject}")
        found[place] = values.reshape(-1, 2)
    if np.isnan(found).all():
        known = name_some(subject.subject for subject in subjects)
        raise InputError(
            f"{path}: no row is named by a subject or image of the table ({known}), "
            f"the first is '{rows[0][1][0]}'"
        )
    return found


def _read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Each row but the header that is not empty, with its line."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--landmarks {path} cannot be read as CSV ({error})") from None
    if len(rows) < 2:
        raise InputError(f"--landmarks {path} has no row below its header")
    return rows[1:]


def _places(subjects: Sequence[Subject]) -> dict[str, int]:
    """Every name of a subject in a landmark file -> its place; a name that two share is none."""
    owners: dict[str, set[int]] = {}
    for place, subject in enumerate(subjects):
        image = Path(subject.image)
        for name in (subject.image, image.name, image.stem):
            owners.setdefault(name, set()).add(place)
    images = {name: min(places) for name, places in owners.items() if len(places) == 1}
    return images | {subject.subject: place for place, subject in enumerate(subjects)}


def to_original(points: np.ndarray, population: Population, indices: list[int]) -> np.ndarray:
    """(n, M, d) normalised points of prepared images -> pixels of the originals."""
    return apply_affine(population.affines[indices], normalised_to_index(points, population.shape))


def to_normalised(points: np.ndarray, population: Population, indices: list[int]) -> np.ndarray:
    """The inverse of `to_original`."""
    inverse = np.linalg.inv(population.affines[indices])
    return index_to_normalised(apply_affine(inverse, points), population.shape)
