import itertools

import numpy as np
import pytest
import torch

from lmcore.discovery.objective import Objective, Registrar, Supervision, pair_mean
from lmcore.registration import spline, warp
from lmcore.registration.regularity import mean_condition_number
from lmcore.registration.similarity import SIMILARITIES

SHAPE = (18, 26)


def landmarks_of(count: int, landmarks: int = 6, dimension: int = 2, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    spread = spline.spread_points(landmarks, dimension).float()
    return spread + 0.1 * torch.rand(count, landmarks, dimension, generator=generator)


def test_pair_mean_leaves_out_the_diagonal_and_failed_targets():
    values = torch.tensor([[100.0, 2, 3], [40, 500, 60], [7, 8, 900]])
    values[1, 0] = float("nan")
    failed = torch.tensor([False, True, False])
    assert pair_mean(values, failed).item() == (2 + 3 + 7 + 8) / 4
    assert pair_mean(values, torch.ones(3, dtype=torch.bool)).isnan()


def test_mean_condition_number_is_over_the_solved_targets():
    control = landmarks_of(3).double()
    control[1, 4] = control[1, 0]
    fitted = spline.fit(control)
    expected = (fitted.condition_number[0] + fitted.condition_number[2]) / 2
    assert mean_condition_number(fitted) == expected
    assert mean_condition_number(spline.fit(control[1:2])) == 0


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize(("shape", "kernel"), [(SHAPE, "paper"), ((8, 9, 10), "thin_plate")])
def test_objective_is_the_loop_over_pairs(blobs, relative, shape, kernel):
    dimension, weight = len(shape), 1e-4
    images, landmarks = torch.from_numpy(blobs(4, shape)), landmarks_of(4, 6, len(shape))
    objective = Objective(Registrar(shape, kernel), "l2", weight, 6, relative=relative)
    objective.unit = 3.0
    loss, match, kappa, failures, _ = objective(images, landmarks)
    matches = []
    for target, source in itertools.permutations(range(4), 2):
        result = Registrar(shape, kernel).register(
            images[source][None], landmarks[source][None], landmarks[target][None]
        )
        matches.append((result.registered[0, 0] - images[target]).square().mean().item())
    matrices = spline.system_matrix(spline.with_corners(landmarks), kernel)
    kappas = [np.linalg.cond(matrix.numpy(), "fro") for matrix in matrices]
    scale = 1.0
    if relative:
        scale = 1 / spline.reference_condition_number(6, dimension, kernel)
    assert match.item() == pytest.approx(np.mean(matches), rel=1e-5)
    assert kappa.item() == pytest.approx(np.mean(kappas), rel=1e-9)
    assert failures.item() == 0
    expected = np.mean(matches) / 3 + weight * scale * np.mean(kappas)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_relative_weight_serves_every_number_of_landmarks():
    """kappa of well-spread landmarks grows tenfold from 8 to 64; relative to itself it does not."""
    image, penalties = torch.zeros(2, 1, *SHAPE), {False: [], True: []}
    for relative, count in itertools.product(penalties, (8, 64)):
        spread = spline.spread_points(count, 2).expand(2, -1, -1)
        objective = Objective(Registrar(SHAPE), "l2", 1.0, count, relative=relative)
        penalties[relative].append(objective(image, spread)[0].item())
    assert penalties[False][1] > 5 * penalties[False][0]
    assert penalties[True] == pytest.approx([1, 1])


def test_equal_images_with_equal_landmarks_cost_kappa_alone(blobs):
    images = torch.from_numpy(blobs(1, SHAPE)).expand(3, -1, -1, -1)
    landmarks = landmarks_of(1).expand(3, -1, -1)
    loss, match, kappa, *_ = Objective(Registrar(SHAPE), "l2", 2e-3, 6)(images, landmarks)
    assert match.item() == pytest.approx(0, abs=1e-9)
    assert loss.item() == pytest.approx(2e-3 * kappa.item(), rel=1e-6)


def test_a_failed_target_is_counted_and_nothing_else(blobs):
    images, landmarks = torch.from_numpy(blobs(4, SHAPE)), landmarks_of(4).requires_grad_()
    collided = landmarks.detach().clone()
    collided[2, 5] = collided[2, 1]
    collided.requires_grad_()
    objective = Objective(Registrar(SHAPE), "l2", 1e-5, 6)
    registered = Registrar(SHAPE).register(images, landmarks)
    rows = ((registered.registered - images[:, None]) ** 2).flatten(2).mean(-1)
    loss, match, kappa, failures, _ = objective(images, collided)
    assert failures.item() == 1
    loss.backward()
    assert loss.isfinite()
    assert collided.grad.isfinite().all()
    assert collided.grad[2].any()  # as a source it still learns
    # the rows of the other targets, with the source that collided as it is
    others = [(t, s) for t, s in itertools.permutations(range(4), 2) if t != 2 and s != 2]
    again = Registrar(SHAPE).register(images, collided)
    found = ((again.registered - images[:, None]) ** 2).flatten(2).mean(-1)
    for pair in others:
        torch.testing.assert_close(found[pair], rows[pair])


def test_a_batch_of_failed_targets_has_no_loss(blobs):
    images = torch.from_numpy(blobs(2, SHAPE))
    collided = torch.zeros(2, 6, 2, requires_grad=True)
    objective = Objective(Registrar(SHAPE), "l2", 1e-5, 6)
    loss, match, kappa, failures, _ = objective(images, collided)
    loss.backward()
    assert loss.isnan()
    assert match.isnan()
    assert kappa == 0
    assert failures == 2
    assert not collided.grad.any()


def test_strided_grid_registers_almost_the_same(blobs):
    images, landmarks = torch.from_numpy(blobs(3, (40, 60))), landmarks_of(3)
    full = Registrar((40, 60)).register(images, landmarks)
    strided = Registrar((40, 60), grid_stride=4).register(images, landmarks)
    assert strided.points.shape == full.points.shape == (3, 3, 40, 60, 2)
    assert (strided.registered - full.registered).abs().mean() < 2e-3


def test_random_pairs_are_each_image_from_the_one_before_it(blobs):
    images, landmarks = torch.from_numpy(blobs(4, SHAPE)), landmarks_of(4)
    landmarks[3, 2] = landmarks[3, 5]  # one target without a solution, still a source
    every = Objective(Registrar(SHAPE), "l2", 1e-5, 6)
    random = Objective(Registrar(SHAPE), "l2", 1e-5, 6, "random")
    assert (every.pairs(4), random.pairs(4)) == (12, 4)
    registered = Registrar(SHAPE).register(images, landmarks).registered
    losses = SIMILARITIES["l2"](images, registered)
    loss, match, kappa, failures, _ = random(images, landmarks)
    expected = np.mean([losses[target, target - 1].item() for target in (0, 1, 2)])
    assert match.item() == pytest.approx(expected, rel=1e-5)
    assert kappa == every(images, landmarks)[2]
    assert failures == 1
    assert loss.item() == pytest.approx(expected + 1e-5 * kappa.item(), rel=1e-6)


@pytest.mark.parametrize("pairing", ["all", "random"])
@pytest.mark.parametrize("match", SIMILARITIES)
class TestMask:
    """Eq. 9 in training."""

    def test_one_for_all_lies_still(self, blobs, match, pairing):
        images, landmarks = torch.from_numpy(blobs(3, SHAPE)), landmarks_of(3)
        mask = torch.zeros(1, 1, *SHAPE)
        mask[..., 4:11, 7:20] = 0.5
        objective = Objective(Registrar(SHAPE), match, 0.0, 6, pairing)
        registered = Registrar(SHAPE).register(images, landmarks).registered
        values = SIMILARITIES[match](images * mask, registered * mask)
        found = objective(images, landmarks, mask)[1].item()
        assert found == pytest.approx(self.mean(values, pairing), rel=1e-5)
        ones = objective(images, landmarks, torch.ones(1, 1, *SHAPE))[1]
        assert ones == objective(images, landmarks)[1]

    def test_each_images_own_moves_with_it(self, blobs, match, pairing):
        images, landmarks = torch.from_numpy(blobs(3, SHAPE)), landmarks_of(3)
        masks = torch.from_numpy(blobs(3, SHAPE, seed=4))
        objective = Objective(Registrar(SHAPE), match, 0.0, 6, pairing)
        registered, moved = (
            Registrar(SHAPE).register(maps, landmarks).registered for maps in (images, masks)
        )
        values = SIMILARITIES[match](images * masks, registered * moved)
        found = objective(images, landmarks, masks)[1].item()
        assert found == pytest.approx(self.mean(values, pairing), rel=1e-5)

    @staticmethod
    def mean(values, pairing):
        every = [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
        pairs = every if pairing == "all" else [(0, 2), (1, 0), (2, 1)]
        return np.mean([values[pair].item() for pair in pairs])


@pytest.mark.parametrize("pairing", ["all", "random"])
@pytest.mark.parametrize("match", SIMILARITIES)
class TestSupervision:
    """Eq. 8: beta 1_C L_match(C_T, C_R)."""

    WEIGHT = 0.7

    def losses(self, images, shapes, present, landmarks, match, pairing):
        """With shapes and without, and the gradient of their difference by the landmarks."""
        landmarks = landmarks.clone().requires_grad_()
        registrar = Registrar(images.shape[2:])
        objective = Objective(registrar, match, 1e-6, 6, pairing, self.WEIGHT, match)
        given = objective(images, landmarks, None, Supervision(shapes, torch.tensor(present)))
        without = objective(images, landmarks)
        assert given[1:4] == without[1:4]
        (gradient,) = torch.autograd.grad(given[0], landmarks)
        (least,) = torch.autograd.grad(without[0], landmarks)
        return given[0].item(), without[0].item(), gradient - least

    @pytest.mark.parametrize(
        "present",
        [[True] * 4, [True, False, True, True], [True, True, False, False]],
        ids=["all", "some", "one pair"],
    )
    @pytest.mark.parametrize("shape", [SHAPE, (8, 9, 10)])
    def test_is_the_mean_over_pairs_that_both_have_a_shape(
        self, blobs, match, pairing, present, shape
    ):
        images, landmarks = torch.from_numpy(blobs(4, shape)), landmarks_of(4, 6, len(shape))
        distance = 10 * torch.from_numpy(blobs(4, shape, seed=9)) - 3
        shapes = distance.clone()
        shapes[~torch.tensor(present)] = float("nan")  # whatever is there is not looked at
        registered = Registrar(shape).register(distance, landmarks).registered
        values = SIMILARITIES[match](distance, registered)
        pairs = [(t, s) for t, s in itertools.permutations(range(4), 2) if present[t] & present[s]]
        if pairing == "random":
            pairs = [(target, source) for target, source in pairs if source == (target - 1) % 4]
        expected = np.mean([values[pair].item() for pair in pairs])
        given, without, gradient = self.losses(images, shapes, present, landmarks, match, pairing)
        assert given - without == pytest.approx(self.WEIGHT * expected, rel=1e-3)
        assert gradient.isfinite().all()
        assert gradient.any()

    @pytest.mark.parametrize("present", [[False] * 4, [False, True, False, False]])
    def test_nothing_where_no_pair_has_two(self, blobs, match, pairing, present):
        images, landmarks = torch.from_numpy(blobs(4, SHAPE)), landmarks_of(4)
        shapes = torch.full((4, 1, *SHAPE), float("nan"))
        shapes[1] = images[1] > 0.5
        given, without, gradient = self.losses(images, shapes, present, landmarks, match, pairing)
        assert given == without
        assert gradient.abs().max() < 1e-7

    def test_failed_targets_are_left_out(self, blobs, match, pairing):
        images, landmarks = torch.from_numpy(blobs(4, SHAPE)), landmarks_of(4)
        landmarks[1, 3] = landmarks[1, 0]
        registered = Registrar(SHAPE).register(images, landmarks).registered
        values = SIMILARITIES[match](images, registered)
        pairs = [(t, s) for t, s in itertools.permutations(range(3), 2) if t != 1]
        if pairing == "random":
            pairs = [(2, 1)]  # (0, 3) has one shape, (1, 0) no solution
        present = [True, True, True, False]
        given, without, gradient = self.losses(images, images, present, landmarks, match, pairing)
        expected = self.WEIGHT * np.mean([values[pair].item() for pair in pairs])
        assert given - without == pytest.approx(expected, rel=1e-3)
        assert gradient.isfinite().all()


def test_mask_and_supervision_together(blobs):
    images, landmarks = torch.from_numpy(blobs(3, SHAPE)), landmarks_of(3)
    masks, shapes = (torch.from_numpy(blobs(3, SHAPE, seed)) for seed in (4, 9))
    objective = Objective(Registrar(SHAPE), "l2", 0.0, 6, supervision=0.5)
    present = torch.ones(3, dtype=torch.bool)
    loss, match, *_ = objective(images, landmarks, masks, Supervision(shapes, present))
    assert match == objective(images, landmarks, masks)[1]
    shapes_alone = objective(shapes, landmarks)[1].item()
    assert (loss - match).item() == pytest.approx(0.5 * shapes_alone, rel=1e-4)


def test_nothing_but_images_is_warped_without_mask_and_shapes(blobs, monkeypatch):
    channels = []
    sample = warp.sample

    def counting(images, points):
        channels.append(images.shape[1])
        return sample(images, points)

    monkeypatch.setattr(warp, "sample", counting)
    images, landmarks = torch.from_numpy(blobs(3, SHAPE)), landmarks_of(3)
    objective = Objective(Registrar(SHAPE), "l2", 0.0, 6)
    objective(images, landmarks)
    objective(images, landmarks, torch.ones(1, 1, *SHAPE))
    objective(images, landmarks, images, Supervision(images, torch.ones(3, dtype=torch.bool)))
    assert channels == [1, 1, 3]
