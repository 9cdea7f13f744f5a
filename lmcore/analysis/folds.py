"""Folds of a cross-validation that hold the classes alike and tear no person apart."""

import numpy as np
from sklearn.model_selection import StratifiedKFold

from lmcore.errors import InputError


def stratified_folds(
    classes: np.ndarray, persons: np.ndarray, folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Indices of the subjects that are fitted and that are held out, for every fold.

    Persons are dealt to the folds, each with all their scans: a left hip tells much of the right
    one. Whoever has scans of several classes counts as of the rarest of them.

    Arguments:
        classes: (N,) labels.
        persons: (N,) whom each subject's scan is of.
    Raises:
        InputError: if a class is of too few persons to be in every fold.
    """
    names, class_of, counts = np.unique(classes, return_inverse=True, return_counts=True)
    people, first, person_of = np.unique(persons, return_index=True, return_inverse=True)
    rarity = np.argsort(np.argsort(counts, kind="stable"))
    rarest = np.full(len(people), len(names))
    np.minimum.at(rarest, person_of, rarity[class_of])
    order = np.argsort(first)  # of the table, whose subjects may be a person each
    dealt = StratifiedKFold(folds, shuffle=True, random_state=seed)
    found = []
    for _, held_out in dealt.split(order, rarest[order]):
        inside = np.isin(person_of, order[held_out])
        for chosen in (inside, ~inside):
            if missing := sorted(set(names) - set(classes[chosen])):
                raise InputError(
                    f"analyses.classification: scans of class '{missing[0]}' are of too few "
                    f"persons for {folds} folds; add persons, merge classes or lower folds"
                )
        found.append((np.flatnonzero(~inside), np.flatnonzero(inside)))
    return found


def fewest_persons(classes: np.ndarray, persons: np.ndarray) -> tuple[str, int]:
    """The class whose scans are of the fewest persons, and of how many."""
    counts = {str(name): len(np.unique(persons[classes == name])) for name in np.unique(classes)}
    return min(counts.items(), key=lambda entry: entry[1])
