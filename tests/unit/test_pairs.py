from collections import Counter

import numpy as np
import pytest
import torch

from lmcore.discovery import pairs
from lmcore.discovery.pairs import Batches, Images, fixed_subset
from lmcore.population.store import Population

SUBJECTS = [3, 5, 8, 9, 12, 20, 21]


def take(batches: Batches, count: int) -> list[list[int]]:
    return [next(batches) for _ in range(count)]


def test_no_subject_meets_itself_and_all_come_equally_often():
    drawn = take(Batches(SUBJECTS, 3, seed=1), 70)
    assert all(len(set(batch)) == 3 for batch in drawn)
    assert Counter(sum(drawn, [])) == dict.fromkeys(SUBJECTS, 30)


def test_every_ordered_pair_meets():
    met = {(a, b) for batch in take(Batches(SUBJECTS, 3, seed=1), 70) for a in batch for b in batch}
    assert len(met) == len(SUBJECTS) ** 2


def test_seed_decides():
    drawn = take(Batches(SUBJECTS, 3, seed=1), 9)
    assert take(Batches(SUBJECTS, 3, seed=1), 9) == drawn
    assert take(Batches(SUBJECTS, 3, seed=2), 9) != drawn


@pytest.mark.parametrize("after", [0, 1, 2, 5])
def test_restored_in_the_middle_of_a_round(after):
    batches = Batches(SUBJECTS, 3, seed=1)
    take(batches, after)
    state = batches.state()
    expected = take(batches, 9)
    another = Batches(SUBJECTS, 3, seed=99)
    another.restore(state)
    assert take(another, 9) == expected
    another.restore(state)  # a state is no reference to what moves on
    assert take(another, 9) == expected


def test_fewer_subjects_than_a_batch():
    batches = Batches([4, 7], 12, seed=1)
    assert batches.size == 2
    assert all(sorted(batch) == [4, 7] for batch in take(batches, 5))
    with pytest.raises(ValueError, match="pairs need two subjects, there are 1"):
        Batches([4], 12, seed=1)


def test_fixed_subset():
    chosen = fixed_subset(SUBJECTS, 4, seed=7)
    assert len(set(chosen)) == 4
    assert chosen == sorted(chosen)
    assert set(chosen) <= set(SUBJECTS)
    assert fixed_subset(SUBJECTS, 4, seed=7) == chosen
    assert len({tuple(fixed_subset(SUBJECTS, 4, seed)) for seed in range(20)}) > 5
    assert fixed_subset([9, 3, 5], 3, seed=7) == [3, 5, 9]


@pytest.mark.parametrize("cache", [pairs.CACHE_BYTES, 0], ids=["memory", "file"])
def test_images_in_the_order_asked_for(population, blobs, monkeypatch, cache):
    monkeypatch.setattr(pairs, "CACHE_BYTES", cache)
    path, _ = population(["train"] * 5)
    content = blobs(5, (16, 32))
    with Population(path) as opened:
        images = Images(opened, [4, 1, 2])
        assert bool(images.cache) == bool(cache)
        found = images([2, 4, 2])
    assert found.dtype == torch.float32
    np.testing.assert_array_equal(found, content[[2, 4, 2]])
