"""Warped modified Shepp-Logan phantoms: the population of the paper's note on timing.

The phantom is the modified one of P. Toft, "The Radon transform", PhD thesis, Technical
University of Denmark, 1996, table B.3 (the geometry of Shepp and Logan, IEEE Trans. Nucl. Sci.
21(3):21-43, 1974, with a higher contrast). Its two ventricles differ in size and tilt, so the
image has no mirror symmetry.

Every image is `phantom(W(x))` with W(x) = A (x + displacement(x)) + t: a cubic B-spline
displacement, then an affine map. W is invertible by construction, since the coefficients of the
displacement stay below 1/2.047 of the control points' spacing, which suffices in 2D (Y. Choi and
S. Lee, "Injectivity conditions of 2D and 3D uniform cubic B-spline functions", Graphical Models
62(6):411-427, 2000).
"""

import math
import os
from dataclasses import dataclass

import numpy as np

from lmcore.errors import InputError
from lmcore.seeds import derive_seed
from lmcore.simulation.options import Range, draw, read_options
from lmcore.simulation.writing import Simulated, to_grey, write_population

# name, intensity, half-axes a and b, centre x and y, angle in degrees (counter-clockwise, y up)
ELLIPSES = (
    ("skull", 1.0, 0.69, 0.92, 0.0, 0.0, 0.0),
    ("brain", -0.8, 0.6624, 0.874, 0.0, -0.0184, 0.0),
    ("right_ventricle", -0.2, 0.11, 0.31, 0.22, 0.0, -18.0),
    ("left_ventricle", -0.2, 0.16, 0.41, -0.22, 0.0, 18.0),
    ("upper_lesion", 0.1, 0.21, 0.25, 0.0, 0.35, 0.0),
    ("middle_dot", 0.1, 0.046, 0.046, 0.0, 0.1, 0.0),
    ("lower_dot", 0.1, 0.046, 0.046, 0.0, -0.1, 0.0),
    ("bottom_left_dot", 0.1, 0.046, 0.023, -0.08, -0.605, 0.0),
    ("bottom_dot", 0.1, 0.023, 0.023, 0.0, -0.605, 0.0),
    ("bottom_right_dot", 0.1, 0.023, 0.046, 0.06, -0.605, 0.0),
)

# Poles are true landmarks of the large ellipses only; the dots give their centres.
WITH_POLES = ("skull", "right_ventricle", "left_ventricle", "upper_lesion")

# Black and the range of the phantom in the image: room for noise on both sides.
BLACK, WHITE = 0.08, 0.92

# Each pixel is the mean of this many samples a side.
SAMPLES = 3

# Share of the control spacing that no coefficient passes (Choi and Lee 2000, 2D: 1/2.0463926).
INJECTIVE = 0.48


@dataclass(frozen=True)
class ToyOptions:
    """Options of the toy population.

    Lengths are in the phantom's unit: the image spans [-1, 1] between the centres of its outer
    pixels. A range is (low, high), drawn as a normal truncated at two standard deviations.
    """

    count: int = 100
    size: tuple[int, int] = (256, 256)  # height, width in pixels
    rotation: Range = (-12.0, 12.0)  # degrees, counter-clockwise in the image
    scale_x: Range = (0.75, 0.95)  # at 1 the phantom's own frame fills the image
    scale_y: Range = (0.75, 0.95)
    shear: Range = (-0.08, 0.08)
    shift_x: Range = (-0.06, 0.06)
    shift_y: Range = (-0.06, 0.06)
    control_points: int = 6  # of the displacement, on each axis, at least 4
    displacement: Range = (-0.18, 0.18)  # of each coefficient
    noise: Range = (0.01, 0.03)  # standard deviation, of the range of intensities


def simulate(folder: str | os.PathLike, truth: str | os.PathLike, seed: int, **options) -> None:
    """Write warped phantoms as a user's folder, and how each was made.

    The truth holds the affine map, the displacement's coefficients (`displacement_x_ROW_COLUMN`,
    row and column of the control point, phantom units, y up) and true landmarks
    `landmark_NAME_x` and `_y` in pixels, the origin at the centre of the top-left pixel:
    centres of all ellipses and poles of the large ones.

    Arguments:
        folder: where `subjects.csv` and `images/` go.
        truth: path of the table of generating parameters.
        seed: the configuration's seed; each subject derives its own from it.
        options: fields of `ToyOptions`.
    Raises:
        InputError: for an unknown option, a bad value, or a displacement that could fold.
    """
    read = read_options(ToyOptions(), options, "toy")
    _require_sound(read)
    drawn = (_phantom(seed, index, read) for index in range(read.count))
    write_population(folder, truth, drawn, read.count, "Simulating warped phantoms")


def phantom(points: np.ndarray) -> np.ndarray:
    """Intensities of the modified Shepp-Logan phantom.

    Arguments:
        points: (..., 2) as (x, y), y up; the skull lies within [-1, 1].
    Returns:
        (...) intensities in [0, 1].
    """
    x, y = points[..., 0], points[..., 1]
    intensity = np.zeros(points.shape[:-1], dtype=points.dtype)
    for _, level, a, b, x0, y0, angle in ELLIPSES:
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        u = ((x - x0) * cos + (y - y0) * sin) / a
        v = ((y - y0) * cos - (x - x0) * sin) / b
        intensity += level * (u * u + v * v <= 1.0)
    return np.clip(intensity, 0.0, 1.0)


def canonical_landmarks() -> dict[str, tuple[float, float]]:
    """Centres of all ellipses and the four poles of the large ones, unwarped, y up."""
    landmarks = {}
    for name, _, a, b, x0, y0, angle in ELLIPSES:
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        landmarks[f"{name}_centre"] = (x0, y0)
        if name in WITH_POLES:
            landmarks[f"{name}_right"] = (x0 + a * cos, y0 + a * sin)
            landmarks[f"{name}_left"] = (x0 - a * cos, y0 - a * sin)
            landmarks[f"{name}_top"] = (x0 - b * sin, y0 + b * cos)
            landmarks[f"{name}_bottom"] = (x0 + b * sin, y0 - b * cos)
    return landmarks


class Warp:
    """The map W from an image to the phantom, both in [-1, 1] with y up.

    Arguments:
        matrix: (2, 2), the linear part.
        shift: (2,), phantom position of the image's centre.
        coefficients: (n, n, 2) displacements of a cubic B-spline on a uniform grid that covers
            [-1, 1] with one control point beyond each end; row 0 is the lowest y.
    """

    def __init__(self, matrix: np.ndarray, shift: np.ndarray, coefficients: np.ndarray):
        self.matrix, self.shift, self.coefficients = matrix, shift, coefficients

    def on_grid(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """W at the grid of columns `x` (w,) and rows `y` (h,): (h, w, 2)."""
        basis_x = spline_basis(x, len(self.coefficients))
        basis_y = spline_basis(y, len(self.coefficients))
        u = x[None, :] + basis_y @ self.coefficients[..., 0] @ basis_x.T
        v = y[:, None] + basis_y @ self.coefficients[..., 1] @ basis_x.T
        (a, b), (c, d) = self.matrix
        return np.stack([a * u + b * v + self.shift[0], c * u + d * v + self.shift[1]], axis=-1)

    def at(self, points: np.ndarray) -> np.ndarray:
        """W at points (n, 2)."""
        basis_x = spline_basis(points[:, 0], len(self.coefficients))
        basis_y = spline_basis(points[:, 1], len(self.coefficients))
        displacement = np.einsum("nr,rcd,nc->nd", basis_y, self.coefficients, basis_x)
        return (points + displacement) @ self.matrix.T + self.shift

    def inverse(self, points: np.ndarray) -> np.ndarray:
        """Where W reaches `points` (n, 2); Newton's method with central differences."""
        step = 1e-5
        found = (points - self.shift) @ np.linalg.inv(self.matrix).T
        for _ in range(50):
            missing = points - self.at(found)
            if np.abs(missing).max() < 1e-10:
                break
            jacobian = np.stack(
                [
                    (self.at(found + offset) - self.at(found - offset)) / (2 * step)
                    for offset in step * np.eye(2)
                ],
                axis=-1,
            )
            found = found + np.linalg.solve(jacobian, missing[..., None])[..., 0]
        return found


def spline_basis(positions: np.ndarray, control_points: int) -> np.ndarray:
    """Cubic B-splines (n, control_points) at positions (n,) in [-1, 1].

    The knots are 2 / (control_points - 3) apart and the first spline is centred one knot below
    -1, so that the basis sums to one over all of [-1, 1].
    """
    knots = (positions[:, None] + 1.0) / (2.0 / (control_points - 3)) + 1.0
    distance = np.abs(knots - np.arange(control_points))
    inner = 2.0 / 3.0 - distance**2 + distance**3 / 2.0
    outer = np.clip(2.0 - distance, 0.0, None) ** 3 / 6.0
    return np.where(distance < 1.0, inner, outer)


def render(warp: Warp, size: tuple[int, int]) -> np.ndarray:
    """The warped phantom, (height, width) in [0, 1], each pixel the mean of 3 x 3 samples."""
    height, width = size
    x, y = _sample_positions(width), -_sample_positions(height)
    samples = phantom(warp.on_grid(x, y).astype(np.float32))
    return samples.reshape(height, SAMPLES, width, SAMPLES).mean(axis=(1, 3), dtype=np.float64)


def to_pixels(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels (x, y), origin at the centre of the top-left pixel, of points in [-1, 1], y up."""
    height, width = size
    return np.stack(
        [(points[..., 0] + 1) / 2 * (width - 1), (1 - points[..., 1]) / 2 * (height - 1)], axis=-1
    )


def _sample_positions(count: int) -> np.ndarray:
    """Sample positions of `count` pixels along an axis, outer pixel centres at -1 and 1."""
    pixels = (np.arange(count * SAMPLES) + 0.5) / SAMPLES - 0.5
    return 2.0 * pixels / (count - 1) - 1.0


def _phantom(seed: int, index: int, options: ToyOptions) -> Simulated:
    random = np.random.default_rng(derive_seed(seed, "toy", index))
    affine = {
        name: draw(random, getattr(options, name))
        for name in ("rotation", "scale_x", "scale_y", "shear", "shift_x", "shift_y")
    }
    count = options.control_points
    coefficients = np.array(
        [draw(random, options.displacement) for _ in range(count * count * 2)]
    ).reshape(count, count, 2)
    noise = draw(random, options.noise)
    warp = warp_of(affine, coefficients)

    image = render(warp, options.size)
    image = image + noise * random.standard_normal(options.size)
    landmarks = canonical_landmarks()
    pixels = to_pixels(warp.inverse(np.array(list(landmarks.values()))), options.size)
    truth = {**affine, "noise": noise}
    for (row, column, axis), value in np.ndenumerate(coefficients):
        truth[f"displacement_{'xy'[axis]}_{row}_{column}"] = float(value)
    for name, (x, y) in zip(landmarks, pixels, strict=True):
        truth[f"landmark_{name}_x"], truth[f"landmark_{name}_y"] = float(x), float(y)
    grey = to_grey(BLACK + (WHITE - BLACK) * image)
    return Simulated(f"phantom_{index:03d}", grey, {}, truth)


def warp_of(affine: dict[str, float], coefficients: np.ndarray) -> Warp:
    """The warp whose affine part shows the phantom rotated, scaled, sheared and shifted.

    The affine parameters say what is done to the phantom; W takes the image back to it, so its
    linear part is the inverse.
    """
    angle = math.radians(affine["rotation"])
    rotate = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    shear = np.array([[1.0, affine["shear"]], [0.0, 1.0]])
    shown = rotate @ shear @ np.diag([affine["scale_x"], affine["scale_y"]])
    matrix = np.linalg.inv(shown)
    # y up in the phantom, down in the image: a positive shift_y moves the phantom down
    return Warp(matrix, -matrix @ np.array([affine["shift_x"], -affine["shift_y"]]), coefficients)


def _require_sound(options: ToyOptions) -> None:
    if min(options.size) < 8:
        raise InputError(f"toy: size must be at least 8 pixels a side, not {list(options.size)}")
    if options.count < 1:
        raise InputError("toy: count must be 1 at least")
    if options.control_points < 4:
        raise InputError(f"toy: control_points must be at least 4, not {options.control_points}")
    if min(options.scale_x[0], options.scale_y[0]) <= 0 or options.noise[0] < 0:
        raise InputError("toy: scale_x and scale_y must be positive, noise must not be negative")
    bound = INJECTIVE * 2.0 / (options.control_points - 3)
    largest = max(abs(value) for value in options.displacement)
    if largest >= bound:
        raise InputError(
            f"toy: displacement reaches {largest:g}, which could fold the image; keep it below "
            f"{bound:.3g} or take fewer control_points"
        )
