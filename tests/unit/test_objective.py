import itertools

import numpy as np
import pytest
import torch

from lmcore.discovery.objective import Objective, Registrar, pair_mean
from lmcore.registration import spline
from lmcore.registration.regularity import mean_condition_number

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


@pytest.mark.parametrize("recipe", ["paper", "robust"])
@pytest.mark.parametrize(("shape", "kernel"), [(SHAPE, "paper"), ((8, 9, 10), "thin_plate")])
def test_objective_is_the_loop_over_pairs(blobs, recipe, shape, kernel):
    dimension, weight = len(shape), 1e-4
    images, landmarks = torch.from_numpy(blobs(4, shape)), landmarks_of(4, 6, len(shape))
    objective = Objective(Registrar(shape, kernel), "l2", weight, recipe, 6)
    loss, match, kappa, failures = objective(images, landmarks)
    matches = []
    for target, source in itertools.permutations(range(4), 2):
        result = Registrar(shape, kernel).register(
            images[source][None], landmarks[source][None], landmarks[target][None]
        )
        matches.append((result.registered[0, 0] - images[target]).square().mean().item())
    matrices = spline.system_matrix(spline.with_corners(landmarks), kernel)
    kappas = [np.linalg.cond(matrix.numpy(), "fro") for matrix in matrices]
    scale = 1.0
    if recipe == "robust":
        scale = 1 / spline.reference_condition_number(6, dimension, kernel)
    assert match.item() == pytest.approx(np.mean(matches), rel=1e-5)
    assert kappa.item() == pytest.approx(np.mean(kappas), rel=1e-9)
    assert failures.item() == 0
    expected = np.mean(matches) + weight * scale * np.mean(kappas)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_robust_weight_serves_every_number_of_landmarks():
    """kappa of well-spread landmarks grows tenfold from 8 to 64; the robust penalty does not."""
    image, penalties = torch.zeros(2, 1, *SHAPE), {"paper": [], "robust": []}
    for recipe, count in itertools.product(penalties, (8, 64)):
        spread = spline.spread_points(count, 2).expand(2, -1, -1)
        objective = Objective(Registrar(SHAPE), "l2", 1.0, recipe, count)
        penalties[recipe].append(objective(image, spread)[0].item())
    assert penalties["paper"][1] > 5 * penalties["paper"][0]
    assert penalties["robust"] == pytest.approx([1, 1])


def test_equal_images_with_equal_landmarks_cost_kappa_alone(blobs):
    images = torch.from_numpy(blobs(1, SHAPE)).expand(3, -1, -1, -1)
    landmarks = landmarks_of(1).expand(3, -1, -1)
    loss, match, kappa, _ = Objective(Registrar(SHAPE), "l2", 2e-3, "paper", 6)(images, landmarks)
    assert match.item() == pytest.approx(0, abs=1e-9)
    assert loss.item() == pytest.approx(2e-3 * kappa.item(), rel=1e-6)


def test_a_failed_target_is_counted_and_nothing_else(blobs):
    images, landmarks = torch.from_numpy(blobs(4, SHAPE)), landmarks_of(4).requires_grad_()
    collided = landmarks.detach().clone()
    collided[2, 5] = collided[2, 1]
    collided.requires_grad_()
    objective = Objective(Registrar(SHAPE), "l2", 1e-5, "paper", 6)
    registered = Registrar(SHAPE).register(images, landmarks)
    rows = ((registered.registered - images[:, None]) ** 2).flatten(2).mean(-1)
    loss, match, kappa, failures = objective(images, collided)
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
    loss, _, kappa, failures = Objective(Registrar(SHAPE), "l2", 1e-5, "paper", 6)(images, collided)
    loss.backward()
    assert loss.isnan()
    assert kappa == 0
    assert failures == 2
    assert not collided.grad.any()


def test_strided_grid_registers_almost_the_same(blobs):
    images, landmarks = torch.from_numpy(blobs(3, (40, 60))), landmarks_of(3)
    full = Registrar((40, 60)).register(images, landmarks)
    strided = Registrar((40, 60), grid_stride=4).register(images, landmarks)
    assert strided.points.shape == full.points.shape == (3, 3, 40, 60, 2)
    assert (strided.registered - full.registered).abs().mean() < 2e-3


def test_unknown_recipe():
    with pytest.raises(ValueError, match="recipe is one of paper, robust, not 'best'"):
        Objective(Registrar(SHAPE), "l2", 1.0, "best", 6)
