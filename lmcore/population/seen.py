"""Whose images a stage has read, and the guard that nobody is among them who must not be.

The paper's numbers are of subjects that the encoder never saw. A stage that fits anything writes
down whose images it read: not whose it meant to read, but those that the store gave it, and by
their content, so that a copy of an image under another name counts as the image.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.population.splits import UNSEEN, splits_of
from lmcore.population.store import Population
from lmcore.population.table import name_some

StrPath = str | os.PathLike


def digests_seen(population: Population, indices: Iterable[int] = ()) -> list[str]:
    """Digests of all images that were read from a population, and of those at `indices`."""
    return sorted({population.digests[row] for row in {*population.seen, *indices}})


def write_seen(path: StrPath, population: Population, digests: Iterable[str]) -> None:
    """Write which subjects of a population have images with these digests: column subject."""
    write_csv(path, pd.DataFrame({"subject": _subjects_of(population, digests)}))


def check_twins(population: Population, splits: Mapping[str, str]) -> None:
    """Refuse a subject of test or held_out who has the very image of one that is trained with.

    Arguments:
        splits: of the subjects.
    Raises:
        InputError: naming both.
    """
    fitted = {
        digest: subject
        for subject, digest in zip(population.subjects, population.digests, strict=True)
        if splits[subject] not in UNSEEN
    }
    twins = [
        f"{fitted[digest]} ({splits[fitted[digest]]}) and {subject} ({splits[subject]})"
        for subject, digest in zip(population.subjects, population.digests, strict=True)
        if splits[subject] in UNSEEN and digest in fitted
    ]
    if twins:
        raise InputError(
            f"subjects of different splits with the same image: {name_some(twins)}; take one of "
            "them out of the table, or give both the same split there"
        )


def check_foreign(
    population: Population, splits: Mapping[str, str], digests: Iterable[str], encoder: StrPath
) -> None:
    """Refuse an encoder that was trained elsewhere on images that are now to be unseen.

    Arguments:
        splits: of the subjects; digests: of the images that the encoder saw.
    Raises:
        InputError: naming the subjects.
    """
    known = [name for name in _subjects_of(population, digests) if splits[name] in UNSEEN]
    if known:
        raise InputError(
            f"model.pretrained {encoder} was trained with the images of {name_some(known)}, who "
            "are test or held_out here: give them the split train in the table's column split"
        )


def check_seen(
    subjects_path: StrPath,
    records: Iterable[StrPath],
    trained_on: str | Mapping[str, int] = "train",
    person_column: str | None = None,
) -> None:
    """The guard before a run's numbers: no stage has read an image of test or held_out.

    Arguments:
        subjects_path, trained_on, person_column: for the splits, see `splits_of`.
        records: of `write_seen`.
    Raises:
        InputError: naming the stage's record and the subjects.
    """
    splits = splits_of(subjects_path, trained_on, person_column)
    for path in map(Path, records):
        seen = pd.read_csv(path, dtype=str, keep_default_na=False)["subject"]
        leaked = [f"{name} ({splits[name]})" for name in seen if splits[name] in UNSEEN]
        if leaked:
            raise InputError(
                f"{path}: this stage has seen {name_some(leaked)}, whose numbers would be called "
                "those of unseen subjects: no numbers are written"
            )


def _subjects_of(population: Population, digests: Iterable[str]) -> list[str]:
    digests = set(digests)
    pairs = zip(population.subjects, population.digests, strict=True)
    return [subject for subject, digest in pairs if digest in digests]
