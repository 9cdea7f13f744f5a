import numpy as np
import pytest

from lmcore.points.thinning import farthest_points


def test_points_on_a_line_are_chosen_from_its_ends_inwards():
    line = np.array([[0.0], [1.0], [2.0], [4.0], [8.0], [7.0]])
    assert farthest_points(line, 4).tolist() == [4, 0, 3, 2]


def test_fewer_points_are_the_beginning_of_more():
    points = np.random.default_rng(0).normal(size=(50, 3))
    assert farthest_points(points, 20)[:7].tolist() == farthest_points(points, 7).tolist()


def test_doubles_come_last():
    points = np.repeat(np.array([[0.0, 0], [5, 0], [0, 9]]), 2, axis=0)
    chosen = farthest_points(points, 3)
    assert len(np.unique(points[chosen], axis=0)) == 3


def test_every_point_is_near_a_chosen_one():
    points = np.random.default_rng(1).uniform(size=(400, 2)) * (3.0, 1.0)
    chosen = points[farthest_points(points, 30)]
    reach = np.linalg.norm(points[:, None] - chosen, axis=-1).min(axis=1).max()
    gaps = np.linalg.norm(chosen[:, None] - chosen, axis=-1)[~np.eye(30, dtype=bool)].min()
    assert reach <= gaps  # what makes it at most twice the best


@pytest.mark.parametrize("count", [0, 4])
def test_a_number_that_cannot_be_chosen_is_refused(count):
    with pytest.raises(ValueError, match=f"{count} of 3"):
        farthest_points(np.eye(3), count)
