from collections import Counter

import numpy as np
import pytest
import torch

from lmcore.discovery import pairs
from lmcore.discovery.pairs import Batches, Images, describe, fixed_subset
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


class TestNeighbours:
    @pytest.fixture
    def groups(self):
        """24 subjects in four groups of six, apart from each other; group by index."""
        random = np.random.default_rng(0)
        centres = np.array([[0, 0], [50, 0], [0, 80], [60, 90]])
        group = random.permutation(np.repeat(range(4), 6))
        descriptors = torch.from_numpy(centres[group] + random.normal(size=(24, 2)))
        return [int(100 + 2 * k) for k in range(24)], group, descriptors

    def test_a_batch_holds_neighbours(self, groups):
        indices, group, descriptors = groups
        of = dict(zip(indices, group.tolist(), strict=True))
        for batch in take(Batches(indices, 6, 1, descriptors), 40):
            assert len(set(batch)) == 6
            assert len({of[index] for index in batch}) == 1

    @pytest.mark.parametrize("size", [2, 5, 7, 12, 23, 24])
    def test_all_come_equally_often(self, groups, size):
        indices, _, descriptors = groups
        drawn = take(Batches(indices, size, 1, descriptors), 24)
        assert all(len(set(batch)) == size for batch in drawn)
        assert Counter(sum(drawn, [])) == dict.fromkeys(indices, size)

    def test_nearer_than_by_chance_also_where_batches_do_not_fit_the_round(self, groups):
        indices, _, descriptors = groups
        place = {index: k for k, index in enumerate(indices)}

        def spread(batches):
            chosen = [descriptors[[place[i] for i in batch]] for batch in take(batches, 50)]
            return np.mean([torch.pdist(points).mean().item() for points in chosen])

        near, chance = Batches(indices, 5, 1, descriptors), Batches(indices, 5, 1)
        assert spread(near) < 0.5 * spread(chance)

    def test_neighbourhoods_change_from_round_to_round(self, groups):
        indices, _, descriptors = groups
        drawn = take(Batches(indices, 3, 1, descriptors), 80)
        assert len({tuple(sorted(batch)) for batch in drawn}) > 2 * 8  # a fixed partition has 8

    @pytest.mark.parametrize("after", [0, 1, 4, 5, 11])
    def test_restored_in_the_middle_of_a_round(self, groups, after):
        indices, _, descriptors = groups
        batches = Batches(indices, 5, 1, descriptors)
        take(batches, after)
        state = batches.state()
        expected = take(batches, 12)
        another = Batches(indices, 5, 99, descriptors)
        another.restore(state)
        assert take(another, 12) == expected
        assert take(Batches(indices, 5, 1, descriptors), after + 12)[after:] == expected

    @pytest.mark.parametrize("shape", [(40, 64), (12, 20, 16)])
    def test_descriptors_tell_how_alike_images_are(self, blobs, monkeypatch, shape):
        monkeypatch.setattr(pairs, "READ_AT_A_TIME", 2)
        first, second = blobs(2, shape)
        images = torch.from_numpy(np.stack([first, second, first + 0.01, second, second - 0.03]))
        asked = []

        def read(indices):
            asked.append(list(indices))
            return images[indices]

        found = describe(read, [4, 0, 1, 2, 3])
        assert asked == [[4, 0], [1, 2], [3]]
        distance = torch.cdist(found, found)
        assert distance[2, 4] < 1e-9  # 1 and 3
        assert distance[1, 3] < distance[2, 0] < 0.5 * distance[1, 2]
        # a rotation of the centred thumbnails, so distances are theirs
        side = {2: 16, 3: 6}[len(shape)]
        size = [min(side, length) for length in shape]
        small = torch.nn.functional.interpolate(images, size=size, mode="area").double()
        assert distance[1, 2].item() == pytest.approx((small[0] - small[1]).norm().item())
        assert torch.equal(describe(read, [4, 0, 1, 2, 3]), found)


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
