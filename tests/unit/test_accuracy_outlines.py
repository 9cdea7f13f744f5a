"""Otsu's threshold, the object and its elliptical Fourier descriptors."""

import numpy as np
import pytest

from benchmarks import outlines


def ellipse(long=30.0, short=12.0, count=4000):
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([long * np.cos(angles), short * np.sin(angles)], axis=1)


def lopsided(count=3000):
    """A closed outline without any symmetry, its long axis near the x axis."""
    t = np.linspace(0, 2 * np.pi, count, endpoint=False)
    x = 10 * np.cos(t) + 1.5 * np.cos(2 * t + 0.4) + 0.5 * np.cos(5 * t)
    return np.stack([x, 4 * np.sin(t) + 0.8 * np.sin(3 * t + 1)], axis=1)


def turned(points, degrees):
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return points @ np.array([[cos, sin], [-sin, cos]])


def test_circle_has_equal_axes_and_no_harmonics():
    found = outlines.fourier_descriptors(ellipse(7, 7) + [100, 50], 9)
    np.testing.assert_allclose(found, [1, *[0] * 8], atol=1e-5)


def test_ellipse_against_the_fourier_transform_of_its_arc_length():
    points = ellipse()
    closed = np.vstack([points, points[:1]])
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))]
    at = np.linspace(0, length[-1], 4096, endpoint=False)
    x, y = (np.fft.rfft(np.interp(at, length, closed[:, axis])) / 2048 for axis in (0, 1))
    found = outlines.fourier_descriptors(turned(points, 20) + [300, -40], 9)
    assert found[0] == pytest.approx(-y[1].imag / x[1].real, rel=1e-4)
    assert found[0] == pytest.approx(0.489, abs=0.001)  # more than 12 / 30, by arc length
    third = np.array([x[3].real, 0, 0, -y[3].imag]) / x[1].real
    np.testing.assert_allclose(found[1:], [0, 0, 0, 0, *third], atol=1e-4)
    assert np.abs(third).max() > 0.01


@pytest.mark.parametrize("count", [1, 4, 5, 32, 33])
def test_place_size_rotation_start_and_sense_do_not_matter(count):
    points = lopsided()
    wanted = outlines.fourier_descriptors(points, count)
    assert wanted.shape == (count,)
    changed = 3.7 * turned(np.roll(points, 800, axis=0), 25)[::-1] + [5, 90]
    np.testing.assert_allclose(outlines.fourier_descriptors(changed, count), wanted, atol=1e-9)


def test_shapes_differ_and_so_do_mirrored_ones():
    points = lopsided()
    wanted = outlines.fourier_descriptors(points, 16)
    mirrored = outlines.fourier_descriptors(points * [1, -1], 16)
    assert np.abs(mirrored - wanted).max() > 0.02
    assert mirrored[0] == pytest.approx(wanted[0])


def test_otsu_is_the_best_of_all_thresholds():
    random = np.random.default_rng(1)
    values = np.r_[random.normal(0.2, 0.05, 3000), random.normal(0.7, 0.1, 500)]

    def between(threshold):
        low, high = values[values <= threshold], values[values > threshold]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2

    best = max(between(t) for t in np.linspace(values.min(), values.max(), 400)[1:-1])
    found = outlines.otsu_threshold(values)
    assert 0.3 < found < 0.55
    assert between(found) > 0.999 * best


def test_otsu_of_two_values_is_between_them():
    assert outlines.otsu_threshold(np.array([1.0, 1.0, 3.0])) == pytest.approx(2, abs=0.01)
    with pytest.raises(ValueError, match="all values are 2"):
        outlines.otsu_threshold(np.full(4, 2.0))


def rim(contrast, shape=(150, 90), centre=(38.0, 80.0), axes=(22.0, 55.0)):
    """A transparent object, of which only the rim differs from the background; and its inside."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    radius = np.hypot((x - centre[0]) / axes[0], (y - centre[1]) / axes[1])
    noise = np.random.default_rng(2).normal(0, 2, shape)
    image = 120 + contrast * np.exp(-(((radius - 1) / 0.05) ** 2)) + noise
    image[5:9, 70:85] = 250  # something small beside it
    return image, radius <= 1


@pytest.mark.parametrize("contrast", [80, -80])
def test_foreground_is_the_largest_object_with_its_inside(contrast):
    image, inside = rim(contrast)
    found = outlines.foreground(image)
    assert (found & inside).sum() > 0.99 * inside.sum()
    assert (found & ~inside).sum() < 0.4 * inside.sum()  # edges reach beyond the rim
    assert not found[5:9, 70:85].any()


def test_outline_encloses_the_object_and_tells_its_axes():
    image, _ = rim(80)
    points = outlines.outline(np.kron(image, np.ones((4, 4))))  # 600 pixels long: traced on 400
    scale = 400 / 600 * 4
    middle = (points.max(axis=0) + points.min(axis=0)) / 2 - 4  # the margin of the tracing
    np.testing.assert_allclose(middle, np.array([38.4, 80.4]) * scale, atol=6)
    # 0.489 as of 12 / 30 = 22 / 55, and a little more, since edges reach beyond the rim
    assert 0.489 < outlines.fourier_descriptors(points, 5)[0] < 0.55


def test_off_object_share_measures_in_pixels_from_the_object():
    inside = np.zeros((60, 150), dtype=bool)  # 2 % of the longest side are three pixels
    inside[15:30, 12:18] = True
    # (x, y): inside; three pixels to the right; four above; far; out of the image
    index = np.array([[13.0, 17.4], [20.0, 18.0], [15.0, 11.0], [2.0, 59.0], [-3.0, 90.0]])
    assert outlines.off_object_share(index, inside) == 0.6
    volume = np.zeros((5, 7, 50), dtype=bool)  # one voxel
    volume[1, 2, 48] = True
    index = np.array([[49.0, 2.0, 1.0], [48.0, 2.0, 3.0], [1.0, 2.0, 48.0], [48.0, 2.0, 1.0]])
    assert outlines.off_object_share(index, volume) == 0.5


def test_off_photographed_share_takes_pixels_of_the_original():
    image = np.kron(rim(80)[0], np.ones((4, 4)))  # 600 x 360
    # (x, y): the middle, the left and the lower end of the object; beside it; the thing beside it
    index = np.array([[152.0, 320.0], [70.0, 320.0], [152.0, 530.0], [300.0, 320.0], [310.0, 28.0]])
    assert outlines.off_photographed_share(index, image) == 0.4
