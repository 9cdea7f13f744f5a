"""The geometry of a simulated valve against closed forms, in its plane and in the image."""

import numpy as np
import pytest

from lmcore.simulation.ornament import Ornament, draw_face
from lmcore.simulation.valve import Outline, Pose, Valve, place

SIZE = (120, 300)
BARE = {
    "stria_density": 10.0,
    "stria_radiation": 0.0,
    "stria_strength": 0.0,
    "puncta_strength": 0.0,
    "axial_area": 0.0,
    "central_area": 0.0,
    "raphe_strength": 0.0,
    "stauros_strength": 0.0,
    "stauros_width": 0.0,
    "nodule_strength": 0.0,
}


def parabola(**changes) -> Valve:
    """A valve whose half-width is W/2 (1 - u^2): poles of no width."""
    shape = {"length": 40.0, "slenderness": 4.0, "fullness": 2.0, "pole_width": 1e-4} | changes
    return Valve(Outline(**shape))


def coverage(valve: Valve, size=SIZE, **pose) -> np.ndarray:
    pose = {"rotation": 0.0, "shift_x": 0.0, "shift_y": 0.0, "magnification": 6.0} | pose
    return place(valve, Pose(**pose), size).coverage


def centroid(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.indices(mask.shape)
    return float((mask * columns).sum() / mask.sum()), float((mask * rows).sum() / mask.sum())


@pytest.mark.parametrize("curvature", [0.0, 0.8, -0.5])
def test_plane_and_valve_coordinates_are_inverse(curvature):
    valve = parabola(curvature=curvature)
    s, n = np.array([-19.0, -3.0, 0.0, 11.0]), np.array([1.0, -4.0, 2.5, 4.5])
    back = valve.from_plane(*valve.to_plane(s, n).T)
    np.testing.assert_allclose(back, (s, n), atol=1e-12)


def test_poles_of_a_bent_axis_lie_on_its_circle():
    valve = parabola(curvature=0.9)
    radius = 40.0 / 0.9
    expected = radius * np.sin(0.45), -radius * (1.0 - np.cos(0.45))
    np.testing.assert_allclose(valve.to_plane(np.array(20.0), np.array(0.0)), expected)


@pytest.mark.parametrize(("curvature", "dorsiventrality"), [(0.0, 0.0), (0.8, 0.0), (0.8, 0.5)])
def test_area_in_the_image(curvature, dorsiventrality):
    # the dorsal side is longer than the axis, the ventral shorter: the integral of
    # (1 + curvature n / L) over the valve, for half-widths h (1 + d) and h (1 - d)
    length, width, scale = 40.0, 10.0, 6.0
    area = 2.0 / 3.0 * length * width + 4.0 / 15.0 * curvature * dorsiventrality * width**2
    mask = coverage(parabola(curvature=curvature, dorsiventrality=dorsiventrality))
    assert mask.sum() / scale**2 == pytest.approx(area, rel=2e-3)


@pytest.mark.parametrize(("capitation", "undulation"), [(0.0, 0.0), (0.4, 0.0), (0.2, -0.15)])
def test_width_is_the_widest_extent_and_length_reaches_the_poles(capitation, undulation):
    outline = Outline(
        50.0,
        5.0,
        protraction=0.15,
        pole_width=0.4,
        capitation=capitation,
        undulation=undulation,
    )
    mask = coverage(Valve(outline), magnification=5.0)
    assert mask.sum(axis=0).max() == pytest.approx(10.0 * 5.0, abs=0.3)
    assert mask.sum(axis=1).max() == pytest.approx(50.0 * 5.0, abs=1.0)


def test_a_positive_curvature_is_convex_upwards_in_the_image():
    scale, curvature, length = 6.0, 0.6, 40.0
    mask = coverage(parabola(curvature=curvature, slenderness=8.0))
    rows = np.arange(SIZE[0])[:, None]
    columns = np.flatnonzero(mask.sum(axis=0) > 2.0)
    axis = (mask * rows).sum(axis=0)[columns] / mask.sum(axis=0)[columns]
    middle = axis[len(axis) // 2]
    sagitta = length / curvature * (1.0 - np.cos(curvature / 2.0)) * scale
    assert axis[0] - middle == pytest.approx(sagitta, rel=0.12)
    assert axis[-1] - middle == pytest.approx(sagitta, rel=0.12)


def test_the_dorsal_margin_is_up():
    # at d = 1 the ventral margin is the straight axis, all of the valve above it
    valve = parabola(dorsiventrality=1.0)
    mask = coverage(valve)
    half = mask.shape[1] // 2
    rows = np.flatnonzero(mask[:, half] > 0.5)
    near_pole = np.flatnonzero(mask[:, half - 100] > 0.5)
    assert rows[-1] == pytest.approx(near_pole[-1], abs=1)
    assert near_pole[0] - rows[0] > 20


def test_the_head_pole_is_on_the_left_and_broader():
    outline = Outline(40.0, 4.0, heteropolarity=0.4, protraction=0.2, pole_width=0.4)
    valve = Valve(outline)
    # well inside the drawn-out poles, before their caps
    head, foot = valve.half_width(np.array([-0.86, 0.86]) * 20.0)
    assert head / foot == pytest.approx((1 + 0.4 * 0.86) / (1 - 0.4 * 0.86), rel=1e-3)
    body = Valve(Outline(40.0, 4.0, heteropolarity=0.4, pole_width=1e-4))
    assert body.positions[body.squared.argmax()] == pytest.approx(-0.3 * 0.4, abs=2e-3)
    mask = coverage(valve)
    assert mask[:, :75].sum() > 1.5 * mask[:, 225:].sum()
    mirrored = Valve(Outline(40.0, 4.0, heteropolarity=-0.4, protraction=0.2, pole_width=0.4))
    np.testing.assert_allclose(coverage(mirrored), mask[:, ::-1], atol=1e-9)


def test_rotation_is_clockwise_and_shift_is_in_pixels():
    straight = coverage(parabola(slenderness=8.0))
    x, y = centroid(straight)
    assert (x, y) == pytest.approx((149.5, 59.5), abs=1e-6)
    moved = coverage(parabola(slenderness=8.0), shift_x=7.25, shift_y=-3.5)
    assert centroid(moved) == pytest.approx((x + 7.25, y - 3.5), abs=0.02)

    turned = coverage(parabola(slenderness=8.0), rotation=10.0)
    down, right = (axis - middle for axis, middle in zip(np.indices(SIZE), (y, x), strict=True))
    moments = [(turned * one).sum() for one in (right * right, down * down, right * down)]
    angle = 0.5 * np.arctan2(2.0 * moments[2], moments[0] - moments[1])
    assert np.degrees(angle) == pytest.approx(10.0, abs=0.02)


def test_undulation_constricts_or_swells_the_middle():
    constricted = Valve(Outline(40.0, 4.0, fullness=6.0, undulation=-0.15, pole_width=1e-4))
    middle, shoulder = constricted.half_width(np.array([0.0, 10.0]))
    # body 1 - u^6, wave cos(2 pi u) (1 - u^2)
    ratio = (1 - 0.15) / ((1 - 0.5**6) * (1 + 0.15 * 0.75))
    assert middle / shoulder == pytest.approx(ratio, rel=1e-3)


def face_of(valve: Valve, **ornament) -> tuple[np.ndarray, np.ndarray]:
    pose = Pose(0.0, 0.0, 0.0, 6.0)
    placed = place(valve, pose, SIZE)
    face = draw_face(valve, Ornament(**BARE | ornament), pose, placed, np.random.default_rng(3))
    return face, placed.coverage


def test_the_stauros_reaches_both_margins_and_has_its_width():
    valve = parabola()
    bare, mask = face_of(valve)
    face, _ = face_of(valve, stauros_strength=1.0, stauros_width=0.1)
    middle = SIZE[1] // 2
    inside = np.flatnonzero(mask[:, middle] > 0.99)
    assert np.all(face[inside, middle] > bare[inside, middle] + 0.2)
    # 0.1 of 40 micrometres at 6 pixels each; on the axis row
    wide = np.count_nonzero(face[SIZE[0] // 2] - bare[SIZE[0] // 2] > 0.1)
    assert wide == pytest.approx(24, abs=4)
    np.testing.assert_allclose(face[inside, middle + 50], bare[inside, middle + 50], atol=1e-6)


def test_striae_have_their_density():
    # 10 striae in 10 micrometres at 6 pixels a micrometre: a period of 6 pixels
    face, _ = face_of(parabola(), stria_strength=1.0)
    row = face[SIZE[0] // 2 + 5, 60:240]
    power = np.abs(np.fft.rfft(row - row.mean()))
    assert power.argmax() == 180 / 6


def test_striae_that_pixels_cannot_resolve_fade_away():
    face, _ = face_of(parabola(), stria_density=40.0, stria_strength=1.0)
    assert np.abs(face).max() == 0.0


def test_the_axial_area_has_no_striae():
    face, _ = face_of(parabola(), stria_strength=1.0, axial_area=0.3)
    assert np.ptp(face[59:61, 100:200]) < 1e-9
    assert np.ptp(face[40, 100:200]) > 1.0
