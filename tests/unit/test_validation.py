"""What a training compares and how it scores; more of `evaluate` in test_trainer.py."""

import itertools

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from lmcore.discovery.encoder import LandmarkEncoder
from lmcore.discovery.heatmaps import HeatmapEncoder
from lmcore.discovery.objective import Objective, Registrar, Supervision
from lmcore.discovery.settings import TrainingSettings
from lmcore.discovery.validation import compared, evaluate, unregistered_match
from lmcore.registration import matching
from lmcore.registration.similarity import SIMILARITIES

SHAPES = [(20, 34), (16, 18, 22)]
CPU = torch.device("cpu")


def settings_of(recipe, match="l2", **others):
    return TrainingSettings(4, 1e-3, recipe=recipe, match=match, **others)


def without_local_mean(images, window):
    """By SciPy: the mean is over that part of the window which lies in the image."""
    found = np.empty_like(images)
    for place in np.ndindex(images.shape[:2]):
        image = images[place].astype(float)
        total = uniform_filter(image, window, mode="constant")
        share = uniform_filter(np.ones_like(image), window, mode="constant")
        found[place] = image - total / share
    return found


def mask_of(shape):
    """Off the centre, of weights between 0 and 1."""
    mask = torch.zeros(shape)
    mask[*[slice(2 + axis, n // 2 + 2) for axis, n in enumerate(shape)]] = 0.5
    mask[*[slice(3 + axis, n // 2) for axis, n in enumerate(shape)]] = 1.0
    return mask


class TestCompared:
    def test_paper_compares_the_images_themselves(self, blobs):
        images = torch.from_numpy(blobs(2, (20, 34)))
        assert compared(images, settings_of("paper")) is images

    @pytest.mark.parametrize(
        ("shape", "window"),
        # a fifth of the longest side, odd: of 34 it is 6.8, of 22 4.4, of 80 (far longer) 16
        [((20, 34), 7), ((34, 20), 7), ((16, 18, 22), 5), ((9, 80), 17), ((256, 40), 53)],
    )
    def test_robust_takes_the_mean_of_a_window_away(self, blobs, shape, window):
        images = np.concatenate([blobs(2, shape), blobs(2, shape, seed=1)], axis=1)
        found = compared(torch.from_numpy(images), settings_of("robust"))
        np.testing.assert_allclose(found, without_local_mean(images, window), atol=1e-5)

    @pytest.mark.parametrize("shape", [(40, 61), (30, 33, 37)])
    def test_illumination_is_gone(self, blobs, shape):
        """A constant everywhere, a ramp wherever the window is whole, and most of a slow wave."""
        settings, images = settings_of("robust"), torch.from_numpy(blobs(1, shape))
        plain = compared(images, settings)
        torch.testing.assert_close(compared(images + 3, settings), plain, atol=1e-5, rtol=0)
        index = torch.meshgrid(*[torch.arange(n) / n for n in shape], indexing="ij")
        ramp = sum((axis + 1) * part for axis, part in enumerate(index))
        inside = [slice(7, n - 7) for n in shape]
        difference = compared(images + ramp, settings) - plain
        assert difference[:, :, *inside].abs().max() < 1e-5
        wave = torch.cos(3.14159 * index[-1]) * (1 - index[0])
        difference = (compared(images + wave, settings) - plain).square().mean()
        assert difference < 0.02 * wave.square().mean()

    def test_structures_stay(self, blobs):
        """A line three pixels wide keeps most of its contrast."""
        image = torch.zeros(1, 1, 60, 100)
        image[..., 20:23, :] = 1.0
        found = compared(image, settings_of("robust"))
        assert found[0, 0, 21, 50] - found[0, 0, 40, 50] > 0.8

    def test_gradient_and_device_are_those_of_the_images(self, blobs):
        images = torch.from_numpy(blobs(1, (20, 34))).requires_grad_()
        compared(images, settings_of("robust")).square().sum().backward()
        assert images.grad.isfinite().all()
        assert images.grad.any()


class TestUnregisteredMatch:
    @pytest.mark.parametrize(
        ("recipe", "match", "masked"),
        list(itertools.product(["paper", "robust"], SIMILARITIES, [False, True])),
    )
    @pytest.mark.parametrize(("shape", "window"), list(zip(SHAPES, [7, 5], strict=True)))
    def test_is_the_loop_over_ordered_pairs(self, blobs, shape, window, recipe, match, masked):
        images = blobs(4, shape)
        seen = without_local_mean(images, window) if recipe == "robust" else images
        mask = mask_of(shape) if masked else torch.ones(shape)
        seen, values = torch.from_numpy(seen) * mask, []
        for target, source in itertools.permutations(range(4), 2):
            loss = SIMILARITIES[match](seen[target, None], seen[source, None, None])
            values.append(loss.item())
        expected = pytest.approx(np.mean(values), rel=1e-4)
        given = torch.from_numpy(images)
        alike = compared(given, settings_of(recipe, match))
        for form in (mask, mask[None, None]) if masked else (None,):
            assert unregistered_match(alike, SIMILARITIES[match], form) == expected
        assert torch.equal(given, torch.from_numpy(images))

    def test_equal_images_are_no_unit_of_zero(self, blobs):
        images = torch.from_numpy(blobs(1, (20, 34))).expand(3, -1, -1, -1)
        assert 0 < unregistered_match(images, SIMILARITIES["l2"]) <= 1e-12

    def test_of_two_images(self, blobs):
        images = torch.from_numpy(blobs(2, (20, 34)))
        expected = (images[0] - images[1]).square().mean().item()
        assert unregistered_match(images, SIMILARITIES["l2"]) == pytest.approx(expected, rel=1e-6)


class TestEvaluate:
    @staticmethod
    def encoder(shape, channels=1, kind=HeatmapEncoder):
        torch.manual_seed(0)
        encoder = kind(shape, 4, (2, 4, 4, 4), 6, stride=1, channels=channels)
        for parameter in encoder.parameters():  # so that landmarks differ from image to image
            parameter.data.mul_(1.5)
        return encoder.eval()

    @pytest.mark.parametrize(
        ("recipe", "match", "masked"),
        [
            *[("paper", "l2", True), ("robust", "l2", False), ("robust", "l2", True)],
            *[("robust", "ncc", True), ("paper", "mind", False)],
        ],
    )
    @pytest.mark.parametrize("shape", SHAPES)
    def test_is_the_objective_of_training_on_the_full_grid(
        self, blobs, shape, recipe, match, masked
    ):
        images = torch.from_numpy(np.concatenate([blobs(4, shape), blobs(4, shape, 1)], axis=1))
        encoder, settings = self.encoder(shape, 2), settings_of(recipe, match)
        mask = mask_of(shape)[None, None] if masked else None
        with torch.no_grad():
            landmarks = encoder(images)
            assert landmarks.std(dim=0).max() > 1e-3
            objective = Objective(Registrar(shape), match, 1.0, 4)
            terms = objective(compared(images, settings), landmarks, mask)
        loss, kappa = evaluate(encoder, images, settings, CPU, mask)
        assert loss == pytest.approx(terms.match.item(), rel=1e-4)
        assert kappa == pytest.approx(terms.kappa.item(), rel=1e-6)

    @pytest.mark.parametrize("shape_match", ["l2", "mind"])
    @pytest.mark.parametrize("shape", SHAPES)
    def test_shapes_weigh_as_in_the_objective(self, blobs, shape, shape_match):
        """Those of pairs that both have one; what an absent one holds counts nowhere."""
        images, shapes = (torch.from_numpy(blobs(5, shape, seed)) for seed in (0, 1))
        shapes[3] = torch.nan
        supervision = Supervision(shapes, torch.tensor([True, True, False, False, True]))
        encoder = self.encoder(shape)
        settings = settings_of("paper", supervision=0.7, shape_match=shape_match)
        objective = Objective(
            Registrar(shape), "l2", 0.0, 4, supervision=0.7, shape_match=shape_match
        )
        with torch.no_grad():
            terms = objective(images, encoder(images), None, supervision)
        loss, _ = evaluate(encoder, images, settings, CPU, None, supervision, 0.7)
        assert loss == pytest.approx(terms.loss.item(), rel=1e-4)
        assert terms.shape > 0.1 * terms.match
        for lone in (torch.arange(5) == 1, torch.zeros(5, dtype=torch.bool)):
            loss, _ = evaluate(encoder, images, settings, CPU, None, Supervision(shapes, lone), 0.7)
            assert loss == pytest.approx(terms.match.item(), rel=1e-4)

    def test_blocks_and_parts_change_nothing(self, blobs, monkeypatch):
        """More images than are encoded at a time, fewer pairs at a time than there are."""
        images = torch.from_numpy(blobs(7, (20, 34)))
        encoder, settings = self.encoder((20, 34)), settings_of("robust")
        whole = evaluate(encoder, images, settings, CPU, mask_of((20, 34)))
        monkeypatch.setattr("lmcore.discovery.validation.ENCODED_AT_A_TIME", 3)
        monkeypatch.setitem(matching.BLOCK_PIXELS, "cpu", 1)
        parts = evaluate(encoder, images, settings, CPU, mask_of((20, 34)))
        assert parts == pytest.approx(whole, rel=1e-6)

    @pytest.mark.parametrize("recipe", ["paper", "robust"])
    def test_equal_landmarks_register_nothing(self, blobs, recipe):
        """T is the identity, and the score that of images as they are."""
        images, settings = torch.from_numpy(blobs(4, (20, 34))), settings_of(recipe)
        encoder = self.encoder((20, 34))
        torch.nn.init.zeros_(encoder.last.weight)
        for mask in (None, mask_of((20, 34))):
            loss, _ = evaluate(encoder, images, settings, CPU, mask)
            alike, match = compared(images, settings), SIMILARITIES[settings.match]
            assert loss == pytest.approx(unregistered_match(alike, match, mask), rel=1e-4)

    def test_the_encoder_sees_the_images_themselves(self, blobs):
        """And not what is compared."""
        images, asked = torch.from_numpy(blobs(3, (20, 34))), []
        encoder = self.encoder((20, 34))
        encoder.register_forward_pre_hook(lambda module, given: asked.append(given[0]))
        evaluate(encoder, images, settings_of("robust"), CPU)
        assert torch.equal(torch.cat(asked), images)

    def test_a_failed_target_counts_with_its_unregistered_sources(self, blobs):
        """Compared as the others are."""
        shape, settings = (20, 34), settings_of("robust")
        images = torch.from_numpy(blobs(3, shape))
        encoder = self.encoder(shape, kind=LandmarkEncoder)
        landmarks = encoder(images).detach()
        landmarks[1, 3] = landmarks[1, 0]
        encoder.forward = lambda part: landmarks
        seen = compared(images, settings)
        good = Registrar(shape).register(seen, landmarks, landmarks[[0, 2]]).registered
        values = [
            *[(good[0, source] - seen[0]).square().mean().item() for source in (1, 2)],
            *[(good[1, source] - seen[2]).square().mean().item() for source in (0, 1)],
            *[(seen[source] - seen[1]).square().mean().item() for source in (0, 2)],
        ]
        loss, kappa = evaluate(encoder, images, settings, CPU)
        assert loss == pytest.approx(np.mean(values), rel=1e-4)
        fitted = Registrar(shape).fit(landmarks[[0, 2]])
        assert kappa == pytest.approx(fitted.condition_number.mean().item(), rel=1e-6)
