"""Which subjects are for training, validation and test."""

import os
from collections.abc import Mapping, Sequence

import pandas as pd

from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.points.files import read_text_table
from lmcore.population.table import Subject, name_persons
from lmcore.seeds import derive_seed

FEWEST_SUBJECTS = 5
DRAWN = ("train", "validation", "test")
UNSEEN = ("test", "held_out")  # they neither train an encoder nor stop its training


def assign_splits(
    subjects: Sequence[str],
    labels: Sequence[str] | None,
    fractions: Mapping[str, float],
    seed: int,
    assigned: Mapping[str, str] | None = None,
    persons: Sequence[str] | None = None,
) -> list[str]:
    """Draw each subject's split, stratified by label.

    The numbers of subjects follow the fractions by largest remainder, over the
    population exactly and within each label to about one subject. The draw depends on
    ids, labels and seed alone, not on the order of the table. Where people have several scans
    it is they who are drawn, and all of a person's scans are in one split: a scan is not unseen
    if the other side of the body has been seen.

    Arguments:
        subjects: (N) unique ids.
        labels: (N) what to stratify by, or None.
        fractions: of train, validation and test; they sum to 1.
        seed: of this stage.
        assigned: subjects whose split is given, such as held_out; they keep it, and so do all
            scans of their persons. The fractions are of the others.
        persons: (N) whom each is of, see `name_persons`; None where each is another person.
    Returns:
        (N) train, validation, test, or what `assigned` says.
    Raises:
        InputError: if the fractions are none, there are too few subjects to draw from, or a
            person's scans are assigned to several splits.
    """
    _check_fractions(fractions)
    persons = subjects if persons is None else persons
    person_of = dict(zip(subjects, persons, strict=True))
    label_of = dict.fromkeys(persons, "")
    for person, label in sorted(set(zip(persons, labels or [""] * len(subjects), strict=True))):
        label_of[person] += f"{label}\n"  # who has scans of two classes is of a class of their own
    splits = _splits_of_persons(assigned or {}, person_of)
    free = [person for person in label_of if person not in splits]
    if free:
        ordered = _stratified_order(free, label_of, seed)
        counts = split_counts(len(free), fractions)
        names = [name for name in DRAWN for _ in range(counts[name])]
        splits.update(zip(ordered, names, strict=True))
    return [splits[person] for person in persons]


def draw_splits(
    subjects: Sequence[Subject],
    class_column: str | None,
    fractions: Mapping[str, float],
    seed: int,
    only: str | None = None,
    person_column: str | None = None,
) -> list[str]:
    """(N) splits of a table's subjects: what the table says, the others drawn by class.

    Arguments:
        subjects: (N).
        class_column: the label to stratify by, or None.
        fractions, seed: see `assign_splits`.
        only: the one class to train on; everybody else is held out.
        person_column: the label that says whom a scan is of, or None.
    Raises:
        InputError: if a split has no pair of subjects, and as `assign_splits`.
    """
    labels = [subject.labels[class_column] for subject in subjects] if class_column else None
    given = {subject.subject: subject.split for subject in subjects if subject.split}
    if only is not None:
        given |= {s.subject: "held_out" for s in subjects if s.labels[class_column] != only}
    names, persons = [s.subject for s in subjects], None
    if person_column:
        persons = name_persons(names, [s.labels[person_column] for s in subjects])
    splits = assign_splits(names, labels, fractions, seed, given, persons)
    for split in DRAWN:
        if (count := splits.count(split)) < 2:
            raise InputError(
                f"split {split} gets {count} of {len(subjects)} subjects and pairs need two: "
                "give more subjects or change population.split"
            )
    return splits


def split_counts(n: int, fractions: Mapping[str, float]) -> dict[str, int]:
    """How many of n subjects each split gets: largest remainder, and none left empty.

    Raises:
        InputError: if n is less than FEWEST_SUBJECTS.
    """
    if n < FEWEST_SUBJECTS:
        raise InputError(
            f"population: {n} subjects to split into train, validation and test; "
            f"at least {FEWEST_SUBJECTS} are needed"
        )
    quota = {name: n * fractions.get(name, 0.0) for name in DRAWN}
    counts = {name: int(value) for name, value in quota.items()}
    by_remainder = sorted(DRAWN, key=lambda name: counts[name] - quota[name])
    for name in by_remainder[: n - sum(counts.values())]:
        counts[name] += 1
    for name in DRAWN:
        if quota[name] > 0 and counts[name] == 0:
            counts[max(DRAWN, key=counts.get)] -= 1
            counts[name] = 1
    return counts


def write_splits(
    path: str | os.PathLike, subjects: Sequence[Subject], splits: Sequence[str]
) -> None:
    """Write subjects.csv: subject, image, split, and the table's label columns."""
    rows = [
        {"subject": subject.subject, "image": subject.image, "split": split, **subject.labels}
        for subject, split in zip(subjects, splits, strict=True)
    ]
    write_csv(path, pd.DataFrame(rows))


def read_splits(path: str | os.PathLike) -> pd.DataFrame:
    """Read subjects.csv with every cell as text, so that a subject 001 keeps its name.

    Raises:
        InputError: if it cannot be read or is not such a file.
    """
    table = read_text_table(path)
    missing = [name for name in ("subject", "image", "split") if name not in table]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; run the preprocessing again")
    return table


def _splits_of_persons(assigned: Mapping[str, str], person_of: Mapping[str, str]) -> dict[str, str]:
    splits: dict[str, str] = {}
    for subject, split in assigned.items():
        if splits.setdefault(person_of[subject], split) != split:
            raise InputError(
                f"{subject} is in split {split} and another scan of the same person in "
                f"{splits[person_of[subject]]} (population.person): put them into one"
            )
    return splits


def _check_fractions(fractions: Mapping[str, float]) -> None:
    unknown = set(fractions) - set(DRAWN)
    negative = any(value < 0 for value in fractions.values())
    if unknown or negative or abs(sum(fractions.values()) - 1) > 1e-6:
        raise InputError(
            f"population.split: {dict(fractions)} are no fractions of {', '.join(DRAWN)} "
            "that sum to 1"
        )


def _stratified_order(subjects: Sequence[str], label_of: Mapping[str, str], seed: int) -> list[str]:
    """An order of which every stretch holds the labels in the population's proportions.

    Within its label a subject has a random rank r of n, and the place (r + 1/2) / n in
    the whole. A hash draws the ranks: a subject added later hardly disturbs the others.
    """
    draw = {subject: (derive_seed(seed, "split", subject), subject) for subject in subjects}
    groups: dict[str, list[str]] = {}
    for subject in sorted(subjects, key=draw.get):
        groups.setdefault(label_of[subject], []).append(subject)
    place = {
        subject: (rank + 0.5) / len(group)
        for group in groups.values()
        for rank, subject in enumerate(group)
    }
    return sorted(subjects, key=lambda subject: (place[subject], draw[subject]))


def splits_of(
    path: str | os.PathLike,
    trained_on: str | Mapping[str, int] = "train",
    person_column: str | None = None,
) -> dict[str, str]:
    """Subject -> split of subjects.csv, or what a run makes of it that trains on other subjects.

    Arguments:
        trained_on: `training.subjects`. `train`: the splits as they are. `all`: whoever is not held
            out trains. {fold, folds}: one of so many equal shares of these is the test split, the
            rest trains or validates, so that over all folds everybody is unseen once.
        person_column: with folds, the one that says whom a scan is of; a person is in one fold.
    """
    table = read_splits(path)
    names, splits = table["subject"].tolist(), table["split"].tolist()
    if trained_on == "all":
        splits = ["train" if split in DRAWN else split for split in splits]
    elif trained_on != "train":
        persons = name_persons(names, table[person_column]) if person_column else names
        drawn = {person for person, split in zip(persons, splits, strict=True) if split in DRAWN}
        order = sorted(drawn, key=lambda person: (derive_seed(0, "fold", person), person))
        fold = set(order[trained_on["fold"] :: trained_on["folds"]])
        kept = {"validation": "validation", "held_out": "held_out"}
        splits = [
            "test" if person in fold else kept.get(split, "train")
            for person, split in zip(persons, splits, strict=True)
        ]
    return dict(zip(names, splits, strict=True))
