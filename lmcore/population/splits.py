"""Which subjects are for training, validation and test."""

import os
from collections.abc import Mapping, Sequence

import pandas as pd

from lmcore.errors import InputError
from lmcore.files import write_csv
from lmcore.population.table import Subject
from lmcore.seeds import derive_seed

FEWEST_SUBJECTS = 5
DRAWN = ("train", "validation", "test")
UNSEEN = ("test", "held_out")  # splits that neither train an encoder nor stop its training


def assign_splits(
    subjects: Sequence[str],
    labels: Sequence[str] | None,
    fractions: Mapping[str, float],
    seed: int,
    assigned: Mapping[str, str] | None = None,
) -> list[str]:
    """Draw each subject's split, stratified by label.

    The numbers of subjects follow the fractions by largest remainder, over the
    population exactly and within each label to about one subject. The draw depends on
    ids, labels and seed alone, not on the order of the table.

    Arguments:
        subjects: (N) unique ids.
        labels: (N) what to stratify by, or None.
        fractions: of train, validation and test; they sum to 1.
        seed: of this stage.
        assigned: subjects whose split is given, such as held_out; they keep it and the
            fractions are of the others.
    Returns:
        (N) train, validation, test, or what `assigned` says.
    Raises:
        InputError: if the fractions are none, or there are too few subjects to draw from.
    """
    _check_fractions(fractions)
    splits = dict(assigned or {})
    label_of = dict(zip(subjects, labels or [""] * len(subjects), strict=True))
    free = [subject for subject in subjects if subject not in splits]
    if free:
        ordered = _stratified_order(free, label_of, seed)
        counts = split_counts(len(free), fractions)
        names = [name for name in DRAWN for _ in range(counts[name])]
        splits.update(zip(ordered, names, strict=True))
    return [splits[subject] for subject in subjects]


def draw_splits(
    subjects: Sequence[Subject],
    class_column: str | None,
    fractions: Mapping[str, float],
    seed: int,
    only: str | None = None,
) -> list[str]:
    """(N) splits of a table's subjects: what the table says, the others drawn by class.

    Arguments:
        subjects: (N).
        class_column: the label to stratify by, or None.
        fractions, seed: see `assign_splits`.
        only: the one class to train on; everybody else is held out.
    Raises:
        InputError: if a split has no pair of subjects.
    """
    labels = [subject.labels[class_column] for subject in subjects] if class_column else None
    given = {subject.subject: subject.split for subject in subjects if subject.split}
    if only is not None:
        given |= {s.subject: "held_out" for s in subjects if s.labels[class_column] != only}
    splits = assign_splits([s.subject for s in subjects], labels, fractions, seed, given)
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
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise InputError(f"{path}: cannot be read as a table ({error})") from error
    missing = [name for name in ("subject", "image", "split") if name not in table]
    if missing:
        raise InputError(f"{path}: no column {', '.join(missing)}; run the preprocessing again")
    return table


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


def splits_of(path: str | os.PathLike) -> dict[str, str]:
    """Subject -> split of subjects.csv."""
    table = read_splits(path)
    return dict(zip(table["subject"], table["split"], strict=True))
