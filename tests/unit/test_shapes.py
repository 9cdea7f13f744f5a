"""Segmentations and masks that guide a training: `Shapes`, and who asks for what."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lmcore.discovery import shapes
from lmcore.discovery.guidance import guidance
from lmcore.discovery.known_maps import LARGEST_SHIFT
from lmcore.discovery.settings import TrainingSettings
from lmcore.discovery.shapes import Shapes
from lmcore.errors import InputError
from lmcore.population.store import Population, write_population

COUNT, SPACING = 14, 1.5
# who has no segmentation
WITHOUT = {0, 5, 9}
TRAIN = [11, 0, 1, 2, 4, 5, 7, 8, 12, 13]
SEGMENTED = [index for index in TRAIN if index not in WITHOUT]
SETTINGS = TrainingSettings(landmarks=4, regularization=1e-3, supervision=0.5)


def segmentation_of(index, shape):
    """Of no subject like another's."""
    return (np.random.default_rng(index).random(shape) > 0.6).astype(np.uint8)


def distance_of(index, shape):
    return np.random.default_rng(100 + index).normal(0, 3, shape).astype(np.float32)


@pytest.fixture
def populated(tmp_path):
    """Opens a population, of which some have a segmentation, or none."""
    opened = []

    def make(shape=(6, 9, 7), segmented=True, mask=None):
        spacing = SPACING if len(shape) == 3 else 1.0
        affine = np.eye(len(shape) + 1)

        def record(index):
            image = np.full((1, *shape), index / COUNT, np.float32)
            if index in WITHOUT or not segmented:
                return image, affine, shape
            return image, affine, shape, segmentation_of(index, shape), distance_of(index, shape)

        path, names = tmp_path / "population.h5", [f"s{index:02d}" for index in range(COUNT)]
        records = map(record, range(COUNT))
        write_population(
            path, names, shape, 1, {}, records, spacing=spacing, segmented=segmented, mask=mask
        )
        opened.append(Population(path))
        return opened[-1]

    yield make
    for population in opened:
        population.close()


class TestShapes:
    @pytest.mark.parametrize("cached", [True, False])
    @pytest.mark.parametrize("shape", [(6, 9, 7), (8, 5)])
    def test_rows_are_those_asked_for(self, populated, monkeypatch, shape, cached):
        """In their order, zero for who has none; distances in two voxels of mm, truncated."""
        monkeypatch.setattr(shapes, "cached_at_most", lambda size: 100 if cached else 0)
        population = populated(shape)
        reach = 2 * SPACING if len(shape) == 3 else 2
        asked = [7, 5, 1, 13, 0, 11, 1]
        content = {
            "segmentation": lambda index: segmentation_of(index, shape).astype(float),
            "distance_transform": lambda index: np.clip(distance_of(index, shape) / reach, -1, 1),
        }
        for kind, expected in content.items():
            given = Shapes(population, [TRAIN], kind, 1.0, 0)
            assert bool(given.cache) == cached
            found, present = given(asked)
            assert found.dtype == torch.float32
            assert present.dtype == torch.bool
            assert present.tolist() == [index not in WITHOUT for index in asked]
            for row, index in zip(found, asked, strict=True):
                rows = np.zeros(shape) if index in WITHOUT else expected(index)
                np.testing.assert_allclose(row[0], rows, rtol=1e-6, atol=1e-7)
                assert len(row) == 1

    @pytest.mark.parametrize("share", [0.3, 1.0])
    def test_memory_and_file_say_the_same(self, populated, monkeypatch, share):
        population = populated()
        one = Shapes(population, [TRAIN], "distance_transform", share, 3)
        sizes, fitting = [], len(one.shown) - 1
        monkeypatch.setattr(shapes, "cached_at_most", lambda size: sizes.append(size) or fitting)
        other = Shapes(population, [TRAIN], "distance_transform", share, 3)
        assert len(one.cache) == len(one.shown)
        assert not other.cache
        assert sizes == [4 * 6 * 9 * 7]
        for asked in (TRAIN, TRAIN[::-1], [1]):
            for a, b in zip(one(asked), other(asked), strict=True):
                assert torch.equal(a, b)

    def test_what_is_given_is_the_callers(self, populated):
        """A batch that is changed does not change the next."""
        given = Shapes(populated(), [TRAIN], "segmentation", 1.0, 0)
        first = given([1, 2])[0]
        kept = first.clone()
        first.fill_(7.0)
        assert torch.equal(given([1, 2])[0], kept)

    def test_share_of_those_that_have_one(self, populated):
        """Each larger share holds every smaller one; 0 shows none, 1 all."""
        population, before = populated(), []
        for share in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0):
            given = Shapes(population, [TRAIN], "segmentation", share, 3)
            assert abs(len(given.shown) - share * len(SEGMENTED)) <= 0.5
            assert set(before) <= set(given.shown) <= set(SEGMENTED)
            found, present = given(TRAIN)
            assert present.tolist() == [index in given.shown for index in TRAIN]
            assert not found[~present].any()
            assert all(row.any() for row in found[present])
            before = given.shown
        assert sorted(before) == sorted(SEGMENTED)

    def test_share_holds_in_every_split(self, populated):
        """And one split shows the same whatever other there is."""
        population, validation = populated(), [3, 6, 9, 10]
        both = Shapes(population, [TRAIN, validation], "segmentation", 0.4, 3)
        alone = [Shapes(population, [part], "segmentation", 0.4, 3) for part in (TRAIN, validation)]
        assert [len(given.shown) for given in alone] == [3, 1]
        assert both.shown == sorted(alone[0].shown + alone[1].shown)

    def test_seed_decides_who(self, populated):
        population = populated()

        def shown(seed):
            torch.manual_seed(seed + 100)  # the caller's numbers do not matter
            return tuple(Shapes(population, [TRAIN], "segmentation", 0.4, seed).shown)

        assert shown(0) == shown(0)
        assert len({shown(seed) for seed in range(10)}) > 4
        # nobody is left out for good
        assert {index for seed in range(30) for index in shown(seed)} == set(SEGMENTED)
        before = torch.random.get_rng_state()
        Shapes(population, [TRAIN], "segmentation", 0.4, 4)
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_subjects_that_were_not_given_show_nothing(self, populated):
        """Of the validation, 3 and 6, and of the test, though they have one."""
        given = Shapes(populated(), [TRAIN], "segmentation", 1.0, 0)
        found, present = given([3, 6, 10, 1])
        assert present.tolist() == [False, False, False, True]
        assert not found[:3].any()


class TestGuidance:
    def test_nothing_is_asked_for(self, populated):
        population = populated(mask=np.ones((6, 9, 7), np.float32))
        settings = replace(SETTINGS, supervision=0.0)
        found = guidance(population, TRAIN, [], settings, 0)
        assert found == {"mask": None, "shapes": None, "largest_shift": LARGEST_SHIFT}

    def test_centred_objects_are_shifted_by_less(self, populated):
        population, settings = populated(), replace(SETTINGS, supervision=0.0)
        everybody, some = sorted(set(TRAIN) - set(WITHOUT)), TRAIN
        for align, train, shift in (
            ("intensity", everybody, 0.1),
            ("segmentation", everybody, 0.02),
            ("segmentation", some, 0.1),  # who has none lies elsewhere
        ):
            population.preprocessing["align"] = align
            assert guidance(population, train, [], settings, 0)["largest_shift"] == shift

    def test_mask_is_the_populations(self, populated):
        region = np.linspace(0, 1, 6 * 9 * 7, dtype=np.float32).reshape(6, 9, 7)
        settings = replace(SETTINGS, supervision=0.0, mask=True)
        found = guidance(populated(mask=region), TRAIN, [], settings, 0)
        assert found["shapes"] is None
        assert found["mask"].dtype == torch.float32
        np.testing.assert_array_equal(found["mask"], region[None, None])

    @pytest.mark.parametrize("kind", shapes.KINDS)
    def test_shapes_are_those_of_the_settings(self, populated, kind):
        population, settings = populated(), replace(SETTINGS, shape=kind, share=0.6)
        found = guidance(population, TRAIN, [], settings, 8)["shapes"]
        expected = Shapes(population, [TRAIN], kind, 0.6, 8)
        assert found.shown == expected.shown
        assert len(found.shown) == 5
        for a, b in zip(found(TRAIN), expected(TRAIN), strict=True):
            assert torch.equal(a, b)

    @pytest.mark.parametrize("validation", [[3, 6], [6, 7, 1], TRAIN])
    def test_shapes_of_validation(self, populated, validation):
        """Those who train as well show theirs, or not, to both."""
        population, settings = populated(), replace(SETTINGS, share=0.6)
        found = guidance(population, TRAIN, validation, settings, 8)["shapes"]
        shown = guidance(population, TRAIN, [], settings, 8)["shapes"].shown
        assert [index for index in found.shown if index in TRAIN] == shown
        others = [index for index in found.shown if index not in TRAIN]
        assert len(others) == min(1, len({*validation} - {*TRAIN}))
        assert found(validation)[1].tolist() == [index in found.shown for index in validation]

    def test_a_mask_that_is_not_there(self, populated):
        settings = replace(SETTINGS, supervision=0.0, mask=True)
        message = r"^training\.mask: the population has no mask, set preprocess\.region$"
        with pytest.raises(InputError, match=message):
            guidance(populated(), TRAIN, [], settings, 0)

    @pytest.mark.parametrize("segmented", [True, False])
    def test_segmentations_that_are_not_there(self, populated, segmented):
        """Nowhere, or not in the training split."""
        message = (
            r"^training\.supervision: no subject of the training split has a segmentation[^\n]*$"
        )
        with pytest.raises(InputError, match=message):
            guidance(populated(segmented=segmented), sorted(WITHOUT), [], SETTINGS, 0)
