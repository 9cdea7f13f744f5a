"""The benchmarks compare like with like, and print what their readers expect."""

import json
import math

import pytest
import torch

from benchmarks import common, inference, literal, redundancy, scaling, throughput, time_to_loss
from lmcore.discovery.objective import Objective, Registrar
from lmcore.discovery.trainer import Training

SMALL = ["--threads", "1", "--network", "small", "--size", "32", "--landmarks", "5"]
WHERE = {"device", "machine", "threads", "torch"}


@pytest.fixture(autouse=True)
def same_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def printed(capsys, main, *arguments) -> dict:
    main([*SMALL, *arguments])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    return json.loads(lines[0])


@pytest.mark.parametrize("shape", [(24, 40), (12, 16, 20)])
def test_literal_method_registers_as_ours_does(shape):
    images = common.smooth_images(3, shape, seed=2)
    landmarks = common.spread_landmarks(3, 7, len(shape), seed=3)
    largest, ratio = literal.difference(images, landmarks)
    assert largest < 1e-4  # of intensities in [0, 1]: float32 coordinates
    assert ratio == pytest.approx(len(shape), rel=1e-9)


def test_literal_block_system_is_the_papers():
    """Eq. 14 entry by entry, and both blocks of Eq. 13."""
    points = torch.tensor([[-0.5, -0.4], [0.7, -0.6], [0.1, 0.8], [0.3, 0.2]], dtype=torch.float64)
    system = literal.block_system(points[None])[0]
    assert system.shape == (14, 14)
    block = system[:7, :7]
    assert torch.equal(block[:2, :4], points.T)
    assert torch.equal(block[2, :4], torch.ones(4, dtype=torch.float64))
    assert not block[:3, 4:].any()
    distance = math.dist(points[1], points[2])
    assert block[3 + 1, 2] == pytest.approx(distance**2 * math.log(distance), rel=1e-12)
    assert block[3 + 2, 2] == 0
    assert torch.equal(block[3:, 4:6], points)
    assert torch.equal(system[7:, 7:], block)
    assert not system[:7, 7:].any()
    assert not system[7:, :7].any()


def test_literal_step_descends_the_same_objective():
    """Over all pairs at once, the literal loss and gradient are those of our objective."""
    images, options = common.smooth_images(3, (32, 48), seed=4), common.parser("").parse_args(SMALL)
    settings = common.settings_of(options, regularization=1e-3, grid_stride=1)
    training = literal.LiteralTraining(images, settings, seed=6, batch=6)
    ours = Training(images.__getitem__, (32, 48), [0, 1, 2], [], settings, seed=6)
    for mine, theirs in zip(ours.encoder.parameters(), training.encoder.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    with torch.no_grad():  # untrained, every image has nearly the same landmarks
        ours.encoder.linear[-1].weight.mul_(100)
        training.encoder.load_state_dict(ours.encoder.state_dict())
    objective = Objective(Registrar((32, 48)), "l2", 1e-3, options.landmarks)
    loss, *_ = objective(images, ours.encoder(images))
    loss.backward()
    gradients = [parameter.grad.clone() for parameter in ours.encoder.parameters()]
    torch.nn.utils.clip_grad_norm_(ours.encoder.parameters(), literal.LARGEST_GRADIENT)
    training.step()
    assert training.pairs == 6
    for mine, theirs in zip(ours.encoder.parameters(), training.encoder.parameters(), strict=True):
        torch.testing.assert_close(theirs.grad, mine.grad, rtol=1e-3, atol=1e-5)
    assert max(gradient.abs().max() for gradient in gradients) > 1e-3


def test_literal_pairs_are_all_ordered_pairs_once_an_epoch():
    images, options = common.smooth_images(4, (32, 32), seed=4), common.parser("").parse_args(SMALL)
    training = literal.LiteralTraining(images, common.settings_of(options), seed=6, batch=5)
    seen = torch.cat([training.next_pairs() for _ in range(3)])[:12].tolist()
    assert sorted(seen) == [[a, b] for a in range(4) for b in range(4) if a != b]


def test_literal_reports_its_difference(capsys):
    found = printed(capsys, literal.main, "--images", "2")
    assert {"largest_difference", "condition_number_ratio"} | WHERE <= found.keys()
    assert found["largest_difference"] < 1e-4


def test_throughput(capsys):
    found = printed(capsys, throughput.main, "--batches", "3", "--repeats", "1")
    assert {"peak_mb", "grid_stride", "best_batch"} | WHERE <= found.keys()
    assert [row["batch"] for row in found["batches"]] == [3, 20]
    row = found["batches"][1]
    assert found["pairs_per_second"] == pytest.approx(380 / row["step_seconds"], rel=1e-2)
    assert found["naive_pairs_per_second"] == pytest.approx(
        20 / found["naive_step_seconds"], rel=1e-2
    )
    assert found["ratio"] == pytest.approx(
        found["pairs_per_second"] / found["naive_pairs_per_second"], rel=1e-2
    )
    assert found["best_ratio"] >= found["ratio"]


def test_time_to_loss(capsys):
    few = ["--images", "3", "--validation", "2", "--seeds", "2", "--batch", "3"]
    found = printed(capsys, time_to_loss.main, *few, "--share", "2")
    assert {"ci_low", "ci_high", "seconds", "naive_seconds", "target_loss"} | WHERE <= found.keys()
    assert found["reached"]
    assert found["naive_reached"]
    assert not found["ratio_is_lower_bound"]
    assert found["ci_low"] <= found["ratio"] <= found["ci_high"]
    found = printed(capsys, time_to_loss.main, *few, "--share", "0", "--cap", "0.01")
    assert not found["reached"]
    assert found["ratio"] is None


def test_time_to_loss_counts_seconds_of_steps_alone(monkeypatch):
    class Clocked:
        encoder, pairs = None, 0

        def step(self):
            self.pairs += 1

    monkeypatch.setattr(common, "seconds_of", lambda work, device: work() or 0.1)
    training, losses = Clocked(), iter([5.0, 4.0, 1.0])
    seconds, reached = time_to_loss.seconds_to(training, lambda _: next(losses), 2.0, 9.0, "cpu")
    assert reached
    assert seconds == pytest.approx(0.1 * training.pairs)
    assert time_to_loss.seconds_to(Clocked(), lambda _: 5.0, 2.0, 0.95, "cpu") == (
        pytest.approx(1.0),
        False,
    )


def test_geometric_interval():
    middle, low, high = time_to_loss.geometric_interval([2.0, 4.0, 8.0])
    assert middle == pytest.approx(4.0)
    # t(0.975, 2) = 4.3027, standard error log(2) / sqrt(3)
    assert high / middle == pytest.approx(2 ** (4.3027 / math.sqrt(3)), rel=1e-4)
    assert low * high == pytest.approx(16.0)


def test_unregistered_loss():
    images = torch.tensor([0.0, 1.0, 3.0]).view(3, 1, 1, 1).expand(3, 1, 2, 5)
    assert time_to_loss.unregistered_loss(images) == pytest.approx((1 + 9 + 4) * 2 / 6)


def test_redundancy(capsys):
    found = printed(capsys, redundancy.main, "--images", "3", "--points", "300")
    assert found["same_order"] is True
    assert found["pairs"] == 6
    assert found["points"] == 300
    assert found["ratio"] == pytest.approx(found["naive_seconds"] / found["seconds"], rel=1e-2)
    assert {"spline_ratio", "landmarks", "size"} | WHERE <= found.keys()


def test_another_order_is_noticed():
    images, points = common.toy_images(3, 32, 1), common.spread_landmarks(3, 5, 2, 1)
    grid = literal.regular_grid((32, 32))
    targets = [
        redundancy.Refit(images[k], points[k], images[others], points[others], grid)
        for k, others in enumerate(([1, 2], [0, 2], [0, 1]))
    ]
    order, same = redundancy.refit_order(targets, 5, [0, 1, 2, 3, 4])
    assert sorted(order) == [0, 1, 2, 3, 4]
    assert same["same_order"] is (order == [0, 1, 2, 3, 4])
    assert redundancy.refit_order(targets, 5, order)[1] == {"ties": 0, "same_order": True}
    assert not redundancy.refit_order(targets, 5, order[::-1])[1]["same_order"]


def test_inference(capsys):
    found = printed(capsys, inference.main, "--batches", "1", "3", "--repeats", "1")
    assert [row["batch"] for row in found["batches"]] == [1, 3]
    for row in found["batches"]:
        assert row["images_per_second"] * row["ms_per_image"] == pytest.approx(1000, rel=1e-2)


@pytest.mark.parametrize("dimension", [2, 3])
def test_scaling(capsys, dimension):
    few = ["--sizes", "--counts", "6", "--batches", "--batch", "2", "--repeats", "1"]
    found = printed(capsys, scaling.main, *few, "--dimension", str(dimension))
    assert [(row["landmarks"], row["batch"]) for row in found["rows"]] == [(5, 2), (6, 2)]
    assert set(found["parts"]) == {"encoder", "fit", "warp", "loss", "optimizer"}


def test_parts_of_a_step_make_the_step():
    """Cut into parts, a step moves every weight as an uncut one does."""
    images, options = common.smooth_images(3, (32, 48), seed=4), common.parser("").parse_args(SMALL)
    settings = common.settings_of(options, batch=3)
    whole, cut = (
        Training(images.__getitem__, (32, 48), [0, 1, 2], [], settings, seed=6) for _ in range(2)
    )
    whole.step()
    scaling.step_parts(cut, images)
    for mine, theirs in zip(whole.encoder.parameters(), cut.encoder.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-7)


def test_rounded_to_four_digits():
    assert common.rounded({"a": [1.23456, 7], "b": None}) == {"a": [1.235, 7], "b": None}


def test_toy_images_are_grey_levels_of_the_population():
    images = common.toy_images(2, 32, 3)
    assert images.shape == (2, 1, 32, 32)
    assert 0.0 <= float(images.min()) < float(images.max()) <= 1.0
    torch.testing.assert_close(images * 255, (images * 255).round())
    assert not torch.equal(images[0], images[1])
