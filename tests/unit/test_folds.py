"""Folds that keep the scans of a person together, and what a classifier says across them."""

import numpy as np
import pytest

from lmcore.analysis.folds import persons_of_class, stratified_folds
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


@pytest.mark.parametrize("seed", range(20))
def test_who_has_scans_of_two_classes_counts_as_of_the_rarer(seed):
    # six people were followed up: a healthy scan each, and six of their disease
    persons = np.concatenate([np.arange(31), np.repeat(np.arange(6), 6)])
    classes = np.array(["healthy"] * 31 + ["sick"] * 36)
    assert persons_of_class(classes, persons) == {"healthy": 31, "sick": 6}
    for _, tested in stratified_folds(classes, persons, 5, seed):
        assert len(set(persons[tested][classes[tested] == "sick"])) in (1, 2)


@pytest.mark.parametrize("seed", range(20))
def test_persons_are_dealt_until_every_fold_has_every_class(seed):
    # one hip of eight people is of a class, nine have one of the other, and six have both
    persons = np.concatenate([np.arange(8), np.arange(2, 11)])
    classes = np.array(["cam"] * 8 + ["normal"] * 9)
    for fitted, tested in stratified_folds(classes, persons, 5, seed):
        assert set(classes[tested]) == set(classes[fitted]) == {"cam", "normal"}


def test_a_class_of_too_few_persons_is_refused():
    persons = np.concatenate([np.arange(12), [20, 20, 21, 21]])
    classes = np.array(["common"] * 12 + ["rare"] * 4)
    with pytest.raises(InputError, match="class 'rare' are of 2 people, .* dealt to 3 folds"):
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
