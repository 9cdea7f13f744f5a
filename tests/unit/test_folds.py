"""Folds that keep the scans of a person together, and what a classifier says across them."""

import numpy as np
import pytest

from lmcore.analysis.folds import fewest_persons, stratified_folds
from lmcore.analysis.held_out import cross_validate
from lmcore.analysis.perceptron import Perceptron
from lmcore.errors import InputError


def test_every_fold_holds_every_class_and_no_part_of_a_person():
    random = np.random.default_rng(0)
    persons = random.permutation(np.repeat(np.arange(30), random.integers(1, 4, 30)))
    classes = np.array(["a", "b", "c"])[np.digitize(persons, [18, 25])]
    held_out = np.zeros(len(persons), dtype=int)
    for fitted, tested in stratified_folds(classes, persons, 5, seed=2):
        assert not set(persons[fitted]) & set(persons[tested])
        assert len(fitted) + len(tested) == len(persons)
        assert set(classes[tested]) == {"a", "b", "c"}
        held_out[tested] += 1
    assert (held_out == 1).all()


def test_who_has_scans_of_two_classes_counts_as_of_the_rarer():
    # the rare class is of the left hip of three people, whose right one is common
    persons = np.concatenate([np.arange(12), np.arange(3)])
    classes = np.array(["common"] * 12 + ["rare"] * 3)
    for _, tested in stratified_folds(classes, persons, 3, seed=0):
        assert np.sum(classes[tested] == "rare") == 1
    assert fewest_persons(classes, persons) == ("rare", 3)


def test_a_class_of_too_few_persons_is_refused():
    persons = np.concatenate([np.arange(12), [20, 20, 21, 21]])
    classes = np.array(["common"] * 12 + ["rare"] * 4)
    with (
        pytest.warns(UserWarning, match="least populated"),
        pytest.raises(InputError, match="class 'rare' are of too few persons for 3 folds"),
    ):
        stratified_folds(classes, persons, 3, seed=0)


def test_a_second_scan_does_not_give_the_first_away():
    """Classes are drawn at random; only whoever has seen the other scan can know them."""
    random = np.random.default_rng(1)
    persons = np.repeat(np.arange(40), 2)
    values = np.repeat(random.normal(size=(40, 30)), 2, axis=0)
    classes = np.repeat(random.permutation(["a", "b"] * 20), 2)
    settings = {"seed": 1, "perceptron": Perceptron((8,)), "folds": 5, "repeats": 1}
    # four of five are held out without their other scan, the fifth is guessed: 0.9
    assert cross_validate(values, classes, np.arange(80), **settings).right.mean() > 0.8
    # three standard errors of forty people
    assert cross_validate(values, classes, persons, **settings).right.mean() < 0.5 + 3 * 0.08
