"""Dice and HD95: closed forms, and MONAI as an oracle."""

import numpy as np
import pytest

from lmcore.analysis.overlap import Surface, dice, hd95, surface_hd95

SHAPE = (14, 17, 23)
SPACING = (0.7, 1.1, 2.5)  # x, y, z


def box(low: tuple[int, ...], high: tuple[int, ...], shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Ones at low <= index < high, array order."""
    array = np.zeros(shape, dtype=np.uint8)
    array[tuple(slice(*ends) for ends in zip(low, high, strict=True))] = 1
    return array


def ball(centre: tuple[float, ...], radius: float, shape: tuple[int, ...], spacing) -> np.ndarray:
    """Voxels within a radius (mm) of an index (array order); spacing along x, y, z."""
    axes = [np.arange(n) for n in shape]
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return (((mesh - centre) * spacing[::-1]) ** 2).sum(-1) <= radius**2


class TestDice:
    @pytest.mark.parametrize("shift", [(0, 0, 3), (2, 0, 0), (1, -2, 4), (9, 9, 9)])
    def test_shifted_boxes(self, shift):
        low, size = np.array([1, 4, 5]), np.array([4, 6, 9])
        a = box(tuple(low), tuple(low + size))
        b = box(tuple(low + shift), tuple(low + shift + size))
        common = np.prod(np.maximum(size - np.abs(shift), 0))
        assert dice(a, b) == pytest.approx(common / size.prod())

    def test_one_inside_the_other(self):
        a, b = box((1, 2), (3, 8), (5, 9)), box((1, 3), (2, 7), (5, 9))
        assert dice(a, b) == dice(b, a) == pytest.approx(2 * 4 / (12 + 4))

    def test_empty(self):
        empty, one = np.zeros(SHAPE), box((0, 0, 0), (1, 1, 1))
        assert (dice(empty, empty), dice(one, empty)) == (1, 0)

    def test_shapes_differ(self):
        with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 2\)"):
            dice(np.ones((2, 3)), np.ones((3, 2)))


class TestHd95:
    @pytest.mark.parametrize("step", [(3, 0, 0), (0, 4, 0), (0, 0, 5), (3, -4, 5)])
    def test_two_voxels_are_apart_in_millimetres(self, step):
        at = np.array([5, 8, 9])
        a, b = box(tuple(at), tuple(at + 1)), box(tuple(at + step), tuple(at + step + 1))
        expected = np.linalg.norm(np.array(step) * SPACING[::-1])
        assert hd95(a, b, SPACING) == pytest.approx(expected)

    def test_two_plates(self):
        a, b = box((2, 3, 4), (3, 12, 19)), box((9, 3, 4), (10, 12, 19))
        assert hd95(a, b, SPACING) == pytest.approx(7 * 2.5)
        assert hd95(a, b, 3) == pytest.approx(7 * 3)

    @pytest.mark.parametrize("radii", [(4.0, 9.0), (11.0, 6.5)])
    def test_concentric_spheres_are_their_radii_apart(self, radii):
        spacing, shape = (0.5, 0.4, 0.6), (44, 66, 50)
        a, b = (ball((21.3, 31.7, 25.1), radius, shape, spacing) for radius in radii)
        # the last voxel inside is up to a voxel's diagonal below the surface
        assert hd95(a, b, spacing) == pytest.approx(abs(radii[0] - radii[1]), abs=0.6)

    @pytest.mark.parametrize(("far", "expected"), [(1, 0.05 * 10), (2, 10.05)])
    def test_the_larger_of_the_directed_percentiles(self, far, expected):
        """All of A is in B; of the 20 pixels of B the last ones are 10 and 11 from A.

        The 95th percentile is at rank 18.05 of 0 to 19; that of A's distances, all 0, is 0.
        """
        a, b = np.zeros((3, 80)), np.zeros((3, 80))
        a[1, : 20 - far] = b[1, : 20 - far] = 1
        b[1, 29 - far : 29] = 1
        assert hd95(a, b, (2, 1)) == hd95(b, a, (2, 1)) == pytest.approx(2 * expected)

    def test_the_inside_is_no_surface(self):
        a = box((2, 3, 4), (9, 12, 19))
        hollow = a - box((3, 4, 5), (8, 11, 18))
        assert len(Surface(a, SPACING).points) == hollow.sum()
        assert hd95(a, hollow, SPACING) == 0

    def test_the_border_is_a_surface(self):
        assert len(Surface(np.ones((4, 5, 6)), 1).points) == 4 * 5 * 6 - 2 * 3 * 4

    def test_empty(self):
        empty, one = np.zeros(SHAPE), box((0, 0, 0), (1, 1, 1))
        assert hd95(empty, empty, 1) == 0
        assert hd95(one, empty, 1) == hd95(empty, one, 1) == np.inf

    def test_shapes_differ(self):
        with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 2\)"):
            hd95(np.ones((2, 3)), np.ones((3, 2)), 1)

    def test_a_surface_serves_many(self):
        a, b, c = box((1, 2, 3), (6, 9, 15)), box((3, 2, 1), (9, 9, 12)), box((4, 6, 8), (9, 9, 9))
        surface = Surface(a, SPACING)
        for other in (b, c):
            found = surface_hd95(surface, Surface(other, SPACING))
            assert found == hd95(a, other, SPACING)


@pytest.mark.parametrize(
    ("shape", "spacing"), [((21, 34), (0.8, 2.1)), ((13, 22, 17), (0.7, 1.1, 2.5))]
)
def test_monai_agrees(shape, spacing):
    metrics = pytest.importorskip("monai.metrics")
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(3)
    for _ in range(4):
        pair = []
        for _ in range(2):
            centre = np.array(shape) * random.uniform(0.25, 0.6, len(shape))
            array = ball(tuple(centre), random.uniform(4, 9), shape, spacing)
            array |= random.uniform(size=shape) < 0.01  # far specks
            pair.append(array)
        a, b = (torch.from_numpy(array)[None, None].float() for array in pair)
        oracle = metrics.compute_hausdorff_distance(
            a, b, include_background=True, percentile=95, spacing=spacing[::-1]
        )
        assert oracle > 1
        assert hd95(*pair, spacing) == pytest.approx(oracle.item(), rel=1e-5)
        overlap = metrics.compute_dice(a, b, include_background=True)
        assert dice(*pair) == pytest.approx(overlap.item(), rel=1e-5)
