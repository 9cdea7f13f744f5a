import numpy as np
import pandas as pd
import pytest

from lmcore.errors import InputError
from lmcore.population.seen import (
    check_foreign,
    check_seen,
    check_twins,
    digests_seen,
    write_seen,
)
from lmcore.population.splits import splits_of
from lmcore.population.store import Population, image_digest, write_population

SPLITS = ["train", "validation", "test", "held_out", "train"]


@pytest.fixture
def opened(population):
    path, subjects = population(SPLITS)
    with Population(path) as found:
        yield found, subjects


def test_what_is_read_is_what_was_seen(opened, tmp_path):
    population, _ = opened
    assert digests_seen(population) == []
    population.images([4, 0])
    population.segmentations([1])
    assert population.seen == {0, 1, 4}
    write_seen(tmp_path / "seen.csv", population, digests_seen(population))
    assert (tmp_path / "seen.csv").read_text() == "subject\ns00\ns01\ns04\n"
    assert digests_seen(population, [0]) == digests_seen(population)


def test_digests_tell_images_apart(opened):
    population, _ = opened
    assert len(set(population.digests)) == len(SPLITS)
    assert population.digests[2] == image_digest(population.images([2])[0])


@pytest.mark.parametrize(("row", "leaks"), [(1, False), (2, True), (3, True)])
def test_the_guard(opened, tmp_path, row, leaks):
    population, subjects = opened
    records = [tmp_path / name for name in ("one.csv", "two.csv")]
    for path, rows in zip(records, ([0, 4], [0, row]), strict=True):
        write_seen(path, population, [population.digests[r] for r in rows])
    if not leaks:
        check_seen(subjects, records)
        return
    with pytest.raises(InputError, match=rf"two\.csv: .* s0{row} \({SPLITS[row]}\)"):
        check_seen(subjects, records)


def test_the_guard_knows_whom_a_run_trains_on(opened, tmp_path):
    population, subjects = opened
    record = tmp_path / "seen.csv"
    write_seen(record, population, [population.digests[2]])
    check_seen(subjects, [record], trained_on="all")
    fold = {"fold": 0, "folds": 4}
    unseen = [name for name, split in splits_of(subjects, fold).items() if split == "test"]
    assert unseen
    for name in ("s00", "s01", "s02", "s04"):
        pd.DataFrame({"subject": [name]}).to_csv(record, index=False)
        if name in unseen:
            with pytest.raises(InputError, match=name):
                check_seen(subjects, [record], trained_on=fold)
        else:
            check_seen(subjects, [record], trained_on=fold)


def test_an_encoder_from_elsewhere(opened):
    population, subjects = opened
    splits = splits_of(subjects)
    check_foreign(population, splits, [population.digests[0], "another"], "e.pt")
    with pytest.raises(InputError, match=r"e\.pt was trained with the images of s02, s03"):
        check_foreign(population, splits, population.digests, "e.pt")


def test_the_same_image_twice(tmp_path):
    """Of two subjects in one split it is their own affair."""
    images = np.random.default_rng(0).random((5, 1, 16, 32), dtype=np.float32)
    images[4], images[3] = images[0], images[1]
    names = list("abcde")
    records = [(image, np.eye(3), (16, 32)) for image in images]
    write_population(tmp_path / "p.h5", names, (16, 32), 1, {}, records)
    with Population(tmp_path / "p.h5") as population:
        check_twins(population, dict(zip(names, SPLITS[:3] + ["validation", "train"], strict=True)))
        with pytest.raises(InputError, match=r"b \(validation\) and d \(held_out\);"):
            check_twins(population, dict(zip(names, SPLITS, strict=True)))
