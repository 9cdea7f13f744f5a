"""Folds of a cross-validation that hold the classes alike and tear no person apart."""

import warnings

import numpy as np
from sklearn.model_selection import StratifiedKFold

from lmcore.errors import InputError
from lmcore.seeds import derive_seed

DEALS = 100  # where people have scans of several classes a deal can leave a class out of a fold


def stratified_folds(
    classes: np.ndarray, persons: np.ndarray, folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Indices of the subjects that are fitted and that are held out, for every fold.

    Persons are dealt to the folds, each with all their scans: a left hip tells much of the right
    one. Whoever has scans of several classes counts as of the one that the fewest people have.

    Arguments:
        classes: (N,) labels.
        persons: (N,) whom each subject's scan is of.
    Raises:
        InputError: if no deal puts every class into every fold.
    """
    counts = persons_of_class(classes, persons)
    smallest = min(counts, key=counts.get)
    if counts[smallest] >= folds:
        people, first, person_of = np.unique(persons, return_index=True, return_inverse=True)
        rarity = {name: place for place, name in enumerate(sorted(counts, key=counts.get))}
        rarest = np.full(len(people), len(rarity))
        np.minimum.at(rarest, person_of, [rarity[str(name)] for name in classes])
        order = np.argsort(first)  # of the table, whose subjects may be a person each
        for deal in range(DEALS):
            # the first is that of subjects who are a person each, for whom no second is needed
            seed_of_deal = derive_seed(seed, "deal", deal) if deal else seed
            split = StratifiedKFold(folds, shuffle=True, random_state=seed_of_deal)
            with warnings.catch_warnings():
                # of a class of whom most count as of a rarer one; what matters is asked below
                warnings.filterwarnings("ignore", "The least populated class", UserWarning)
                dealt = [order[held_out] for _, held_out in split.split(order, rarest[order])]
            inside = [np.isin(person_of, held_out) for held_out in dealt]
            if all(_has_all(classes[i], rarity) and _has_all(classes[~i], rarity) for i in inside):
                return [(np.flatnonzero(~i), np.flatnonzero(i)) for i in inside]
    raise InputError(
        f"analyses.classification: scans of class '{smallest}' are of {counts[smallest]} people, "
        f"who cannot be dealt to {folds} folds with every class in each; add people or join "
        "classes"
    )


def persons_of_class(classes: np.ndarray, persons: np.ndarray) -> dict[str, int]:
    """How many people have a scan of a class, for every class in sorted order."""
    return {str(name): len(np.unique(persons[classes == name])) for name in np.unique(classes)}


def _has_all(classes: np.ndarray, names: dict[str, int]) -> bool:
    return len(np.unique(classes)) == len(names)
