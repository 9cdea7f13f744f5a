"""What a recipe does to a training: the terms, the units, the learning rate."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from lmcore.discovery import trainer
from lmcore.discovery.batch import Batch
from lmcore.discovery.initial import initial_encoder
from lmcore.discovery.intensities import change_intensities
from lmcore.discovery.known_maps import equivariance_loss, move_images, random_maps
from lmcore.discovery.objective import Objective
from lmcore.discovery.recipes import RECIPES
from lmcore.discovery.settings import TrainingSettings
from lmcore.discovery.shapes import KINDS
from lmcore.discovery.trainer import Training
from lmcore.discovery.validation import compared, unregistered_match
from lmcore.registration.similarity import SIMILARITIES
from lmcore.registration.spline import reference_condition_number
from lmcore.seeds import derive_seed

ROOT = Path(__file__).parents[2]
SHAPE = (16, 32)
TRAIN, VALIDATION = [0, 1, 2, 4, 7], [3, 6]
# six pairs a step, two steps a validation
SETTINGS = TrainingSettings(
    landmarks=4,
    regularization=1e-2,
    widths=(2, 2, 2, 2),
    hidden=4,
    pairs=60,
    validate_every=12,
    batch=3,
    grid_stride=2,
    recipe="robust",
)
PAPER = replace(SETTINGS, recipe="paper", regularization=1e-5)


@pytest.fixture
def images(blobs):
    return blobs(8, SHAPE)


class Source:
    """Images by index; remembers the last that were asked for, and ends at a call."""

    def __init__(self, images, ends_at=None):
        self.images, self.calls, self.ends_at = torch.from_numpy(images), 0, ends_at

    def __call__(self, indices):
        self.calls, self.last = self.calls + 1, self.images[indices]
        if self.calls == self.ends_at:
            raise KeyboardInterrupt
        return self.last


def training_on(images, settings=SETTINGS, seed=5, ends_at=None, **options):
    source = Source(images, ends_at)
    return Training(source, SHAPE, TRAIN, VALIDATION, settings, seed, **options)


def test_names_of_the_schema():
    """What the configuration may say, and what the code knows by that name."""
    schema = yaml.safe_load((ROOT / "schemas/config.schema.yaml").read_text(encoding="utf-8"))
    training = schema["$defs"]["training"]["properties"]
    supervision = training["supervision"]["anyOf"][1]["properties"]
    assert training["recipe"]["enum"] == list(RECIPES)
    assert training["match"]["enum"] == list(SIMILARITIES)
    assert supervision["shape"]["enum"] == list(KINDS)


class TestRobust:
    """What the recipe adds to the paper's training."""

    @pytest.mark.parametrize("mask", [None, (slice(3, 10), slice(8, 25))])
    def test_units_are_those_of_unregistered_pairs(self, images, mask):
        """Of the training split, compared as in training; lambda counts well-spread landmarks."""
        if mask:
            mask, part = torch.zeros(1, 1, *SHAPE), mask
            mask[..., *part] = 0.5
        objective = training_on(images, mask=mask).objective
        seen = compared(torch.from_numpy(images[TRAIN]), SETTINGS)
        seen = seen if mask is None else seen * mask
        pairs = [(seen[a] - seen[b]).square().mean() for a in range(5) for b in range(5) if a != b]
        assert objective.unit == pytest.approx(np.mean(pairs), rel=1e-4)
        assert objective.scale == 1 / reference_condition_number(4, 2, "paper")
        paper = training_on(images, PAPER, mask=mask).objective
        assert (paper.unit, paper.scale) == (1.0, 1.0)

    def test_mind_counts_a_tenth(self, images):
        """Of what its value over unregistered pairs says, for images and for shapes."""

        def shapes(indices):
            found = torch.from_numpy(images[indices] > 0.4).float()
            return found, torch.ones(len(indices), dtype=torch.bool)

        settings = replace(SETTINGS, match="mind", shape_match="mind", supervision=1.0)
        objective = training_on(images, settings, shapes=shapes).objective
        seen = compared(torch.from_numpy(images[TRAIN]), settings)
        for unit, maps in ((objective.unit, seen), (objective.shape_unit, shapes(TRAIN)[0])):
            expected = 10 * unregistered_match(maps, SIMILARITIES["mind"])
            assert unit == pytest.approx(expected, rel=1e-6)

    def test_contrast_does_not_matter(self, images):
        """Match in units of unregistered pairs, intensities in those of the training split."""
        histories = []
        for scale, offset in ((1.0, 0.0), (0.25, 0.5)):
            training = training_on(offset + scale * images)
            for _ in range(3):
                training.step()
            histories.append((training.sums / 3).tolist())
        assert histories[1] == pytest.approx(histories[0], rel=1e-3)

    @pytest.mark.parametrize(("seed", "copies"), [(5, True), (7, False)])
    def test_loss_of_a_step(self, images, seed, copies):
        """Objective of what is compared, and the distance from where known maps take landmarks.

        Every second step, by chance, the moved copies are compared.
        """
        training, twin = training_on(images, seed=seed), training_on(images, seed=seed)
        training.step()
        batch = training.images.last
        drawn = torch.Generator().manual_seed(derive_seed(seed, "maps"))
        maps = random_maps(3, SHAPE, drawn)
        seen = move_images(batch, maps)
        with torch.no_grad():
            still = twin.encoder(batch)
            moved = twin.encoder(change_intensities(seen, drawn))
            assert bool(torch.rand((), generator=drawn) < 0.5) == copies
            pair = (seen, moved) if copies else (batch, still)
            terms = twin.objective(compared(pair[0], SETTINGS), pair[1])
        inside = (maps.inverse(still).abs() <= 1).all(dim=-1)
        equivariance = (maps(moved) - still)[inside].square().sum(dim=-1).mean().item()
        assert equivariance > 1e-3
        loss, kappa, *_ = training.sums.tolist()
        weight = RECIPES["robust"].equivariance
        assert weight > 0
        assert loss == pytest.approx(terms.loss.item() + weight * equivariance, rel=1e-4)
        assert kappa == pytest.approx(terms.kappa.item(), rel=1e-5)

    def test_both_images_learn_to_agree(self, images, monkeypatch):
        """Those of the image as it is learn too, and not those of the moved one alone."""
        training = training_on(images)
        batch = Batch(torch.from_numpy(images[:3]), None, None)
        monkeypatch.setattr(training, "recipe", replace(training.recipe, copies=False))
        _, still, equivariance = training._encode(batch)
        (gradient,) = torch.autograd.grad(equivariance, still)
        assert gradient.abs().amax(dim=(1, 2)).min() > 1e-4

    def test_every_step_has_maps_of_its_own(self, images, monkeypatch):
        drawn, shifts = [], set()

        def remember(*arguments):
            drawn.append(random_maps(*arguments))
            shifts.add(arguments[3])
            return drawn[-1]

        monkeypatch.setattr(trainer, "random_maps", remember)
        for seed in (5, 5, 6):
            training = training_on(images, seed=seed, largest_shift=0.07)
            for _ in range(3):
                training.step()
        matrices = [maps.matrix for maps in drawn]
        for first, again, other in zip(matrices[:3], matrices[3:6], matrices[6:], strict=True):
            assert torch.equal(first, again)
            assert not torch.equal(first, other)
        assert len(torch.cat(matrices[:3]).unique(dim=0)) == 9
        assert shifts == {0.07}

    def test_who_sees_what(self, images, monkeypatch):
        """The encoder images as they are, and moved; the objective without illumination."""
        training, seen, matched = training_on(images, seed=7), [], []  # which compares no copies
        training.encoder.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        objective = Objective.__call__

        def remember(self, *arguments):
            matched.append(arguments[0])
            return objective(self, *arguments)

        monkeypatch.setattr(Objective, "__call__", remember)
        training.step()
        batch = training.images.last
        still, moved = seen[0].chunk(2)
        assert torch.equal(still, batch)
        assert (moved - batch).abs().amax(dim=(1, 2, 3)).min() > 0.05
        torch.testing.assert_close(matched[0], compared(batch, SETTINGS))
        assert not torch.equal(matched[0], batch)

    @pytest.mark.parametrize("hide", [False, True])
    def test_hidden_parts(self, images, hide):
        """The encoder misses boxes of the moved images where it was asked for, and nothing else."""
        training, seen = training_on(images, replace(SETTINGS, hide=hide)), []
        training.encoder.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        training.step()
        still, moved = seen[0].chunk(2)
        assert torch.equal(still, training.images.last)
        # a hidden pixel has the very value of many others, which noise gives to none
        most = [image.unique(return_counts=True)[1].max().item() for image in moved]
        assert (min(most) > 4) == hide

    def test_landmarks_learn_to_follow(self, images):
        """Maps that were never trained on, and images of the validation."""
        wider = replace(SETTINGS, widths=(4, 8, 8, 8), hidden=8, pairs=360, learning_rate=1e-2)
        training = training_on(images, wider)
        some = torch.from_numpy(images[VALIDATION * 8])
        maps = random_maps(16, SHAPE, torch.Generator().manual_seed(1))

        def distance():
            with torch.no_grad():
                found = training.encoder(move_images(some, maps))
                return equivariance_loss(found, training.encoder(some), maps).item()

        before = distance()
        for _ in range(60):
            training.step()
        assert distance() < 0.5 * before

    def test_a_step_whose_maps_give_no_gradient_changes_nothing(self, images, monkeypatch):
        def broken(*arguments):
            maps = random_maps(*arguments)
            return replace(maps, shift=maps.shift * float("nan"))

        monkeypatch.setattr(trainer, "random_maps", broken)
        training = training_on(images)
        before = [value.clone() for value in training.encoder.state_dict().values()]
        training.step()
        after = training.encoder.state_dict().values()
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        assert training.sums[-1] == 1

    def test_history(self, images):
        rows = training_on(images).run().history
        assert len(rows) == 5
        assert all(math.isfinite(value) for row in rows for value in row.values())
        reference = reference_condition_number(4, 2, "paper")
        assert rows[0]["relative_kappa"] == pytest.approx(rows[0]["kappa"] / reference)


class TestLearningRate:
    # six pairs a step: 60 steps
    ANNEALED = replace(SETTINGS, pairs=360, validate_every=60, learning_rate=4e-3)

    @pytest.fixture
    def rates(self, monkeypatch):
        """The learning rate of every step of Adam."""
        found, step = [], torch.optim.Adam.step

        def remember(self, *arguments):
            found.append([group["lr"] for group in self.param_groups])
            return step(self, *arguments)

        monkeypatch.setattr(torch.optim.Adam, "step", remember)
        return found

    @staticmethod
    def expected(steps):
        """Up along a line for 50 steps, times a cosine from 1 to 0 over all pairs."""
        done = np.arange(steps)
        rising = np.minimum(1, (done + 1) / 50)
        return 4e-3 * rising * (1 + np.cos(np.pi * done / steps)) / 2

    def test_rises_and_falls(self, images, rates):
        training_on(images, self.ANNEALED).run()
        np.testing.assert_allclose(np.concatenate(rates), self.expected(60), rtol=1e-9)
        assert rates[0][0] == pytest.approx(8e-5)
        assert rates[-1][0] < 1e-5

    def test_goes_on_where_it_was(self, images, rates, tmp_path):
        """Between two checkpoints the steps are taken once more, at their own rates."""
        path = tmp_path / "checkpoint.pt"
        with pytest.raises(KeyboardInterrupt):
            training_on(images, self.ANNEALED, ends_at=38).run(path, "digest")
        assert len(rates) == 33  # 1 call standardises, 3 validated, 1 was interrupted
        rates.clear()
        training_on(images, self.ANNEALED).run(path, "digest")
        np.testing.assert_allclose(np.concatenate(rates), self.expected(60)[30:], rtol=1e-9)

    def test_pairs_count_and_not_steps(self, images, rates):
        """The last step of a training may pass its end."""
        training = training_on(images, replace(self.ANNEALED, pairs=31, pairing="random"))
        training.run()
        rising = (np.arange(11) + 1) / 50  # three pairs a step
        falling = (1 + np.cos(np.pi * 3 * np.arange(11) / 31)) / 2
        np.testing.assert_allclose(np.concatenate(rates), 4e-3 * rising * falling, rtol=1e-9)

    def test_papers_is_one_for_all(self, images, rates):
        training_on(images, replace(PAPER, pairs=60, learning_rate=4e-3)).run()
        assert rates == [[4e-3]] * 10


@pytest.mark.parametrize(
    ("shape", "given", "stride"),
    [((32, 48), None, 1), ((32, 32, 48), None, 2), ((32, 48), 2, 2), ((32, 32, 48), 1, 1)],
)
def test_images_are_encoded_pixel_by_pixel_and_volumes_at_half(shape, given, stride):
    settings = replace(SETTINGS, stride=given)
    encoder = initial_encoder(torch.rand(2, 1, *shape), settings, seed=0)
    assert encoder.settings["stride"] == stride
