"""The head all subjects of the cranial population share, and how a subject's shape departs from it.

Coordinates of the common anatomy are RAS mm: x to the patient's right, y to the front, z up; the
supraorbital margins lie near z = 0. It is the head of an average control of ten months. W adds
smooth modes, then proportions and pose.
"""

import math
from collections.abc import Mapping

import numpy as np
from scipy.special import expit

from lmcore.simulation.deformation import Deformation, bumps, rotation
from lmcore.simulation.solids import ellipsoid, smooth_intersection, smooth_union

# Of the common cranium, mm, as `cranium` has it (a test measures them): length, width, and the
# circumference of its largest level section.
LENGTH, WIDTH, PERIMETER = 148.8, 124.1, 421.8
SCALP = 3.5  # between skull and tape when a circumference is taken

# Where the cranium bulges or is flattened a little more in one head than in the next
UNEVEN_AT = np.array(
    [
        [x * side, y, z]
        for x, y, z in [(28, 62, 32), (54, 22, 12), (42, 8, 58), (58, -30, 20), (38, -52, 48)]
        + [(34, -64, 0)]
        for side in (1, -1)
    ],
    dtype=float,
)
UNEVEN_WIDTH = 22.0  # mm

# Where the common origin lies in a scan without shift, so that vertex and chin fit in, mm.
PLACE = np.array([0.0, 2.0, -20.0])


def vault(points: np.ndarray) -> np.ndarray:
    """(...) signed distance of points (..., 3) to the outer skull, open at no side, mm.

    The cerebral part narrows to the front; parietal and frontal eminences as infants have them.
    """
    main = ellipsoid(points, (0.0, -11.0, 16.0), (58.0, 62.0, 61.0))
    frontal = ellipsoid(points, (0.0, 22.0, 16.0), (44.0, 51.0, 50.0))
    folded = np.stack([np.abs(points[..., 0]), points[..., 1], points[..., 2]], axis=-1)
    parietal = ellipsoid(folded, (25.0, -22.0, 27.0), (35.0, 37.0, 40.0))
    fossa = ellipsoid(points, (0.0, -36.0, -10.0), (43.0, 37.0, 34.0))
    return smooth_union(
        smooth_union(smooth_union(main, frontal, 18.0), parietal, 14.0), fossa, 18.0
    )


def base(points: np.ndarray) -> np.ndarray:
    """(...) signed distance to the skull base, positive below it, mm.

    Anterior, middle and posterior fossa lie one lower than the other.
    """
    x, y = points[..., 0], points[..., 1]
    first, second = _step(y, 28.0, 5.0), _step(y, -16.0, 6.0)
    # The temporal lobes reach deeper than the sella between them
    temporal = 12.0 * np.exp(-(((y - 8.0) / 12.0) ** 2) / 2) * _step(np.abs(x), 22.0, 5.0)
    height = -40.0 + 24.0 * second + 18.0 * first - temporal
    slope = 24.0 * second * (1 - second) / 6.0 + 18.0 * first * (1 - first) / 5.0
    return (height - points[..., 2]) / np.sqrt(1 + slope**2)


def cranium(points: np.ndarray) -> np.ndarray:
    """(...) signed distance to the cranium: bone and what it encloses, closed by the base, mm."""
    return closed(vault(points), points)


def closed(vault_distance: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(...) `cranium` where the distance to the vault is known."""
    return smooth_intersection(vault_distance, base(points), 10.0)


def _step(values: np.ndarray, at: float, width: float) -> np.ndarray:
    """A rise from 0 to 1."""
    return expit((values - at) / width)


def forehead(points: np.ndarray) -> np.ndarray:
    """(..., 3) mm by which the forehead becomes a triangle, at a severity of one.

    Both sides come nearer the mid-line the further in front they lie, and the mid-line juts out
    as a keel. It fades over the vertex and down the face.
    """
    x, y, z = np.moveaxis(points, -1, 0)
    level = _step(-z, -52.0, 9.0) * _step(z, -30.0, 9.0)
    moved = np.zeros(points.shape)
    moved[..., 0] = -0.32 * x * _step(y, 32.0, 14.0) * level
    front = _step(y, 38.0, 8.0) * level
    moved[..., 1] = front * (7.5 * np.exp(-((x / 17.0) ** 2) / 2) - 4.0)
    return moved


def _back(points: np.ndarray) -> np.ndarray:
    """(..., 3) mm by which parietal and occipital bones make up for it, at a severity of one."""
    x, y, z = np.moveaxis(points, -1, 0)
    moved = np.zeros(points.shape)
    around = _step(-y, 12.0, 11.0) * np.exp(-(((z - 24.0) / 40.0) ** 2) / 2)
    moved[..., 0] = 0.10 * x * around
    moved[..., 1] = -3.0 * _step(-y, 45.0, 9.0)
    return moved


def _flattening(points: np.ndarray) -> np.ndarray:
    """(..., 3) mm: one mm of flattening of the right occiput, and what follows on the left."""
    x, y = points[..., 0], points[..., 1]
    moved = np.zeros(points.shape)
    # the forehead of the flattened side is pushed forward, half as much
    moved[..., 1] = x / 40.0 * (0.4 + 0.6 * _step(-y, 10.0, 18.0))
    return moved


def deformation(parameters: Mapping[str, float]) -> Deformation:
    """W of one subject.

    Arguments:
        parameters: `frontal` and `posterior` of the two modes of trigonocephaly, `flattening` mm,
            `unevenness_01`.. mm outwards at `UNEVEN_AT`, `circumference` mm over the scalp,
            `cephalic_index` width over length of the skull, `height` relative to the size,
            `rotation_x`.. degrees and `shift_x`.. mm.
    """
    frontal, posterior = parameters["frontal"], parameters["posterior"]
    flattening = parameters["flattening"]
    outward = UNEVEN_AT - np.array([0.0, -11.0, 16.0])
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    amounts = [parameters[f"unevenness_{number + 1:02d}"] for number in range(len(UNEVEN_AT))]
    uneven = bumps(
        UNEVEN_AT, np.full(len(UNEVEN_AT), UNEVEN_WIDTH), np.array(amounts)[:, None] * outward
    )

    def displacement(points: np.ndarray) -> np.ndarray:
        moved = frontal * forehead(points) + posterior * _back(points)
        return moved + flattening * _flattening(points) + uneven(points)

    turn = rotation(tuple(parameters[f"rotation_{axis}"] for axis in "xyz"))
    shift = np.array([parameters[f"shift_{axis}"] for axis in "xyz"])
    return Deformation(displacement, turn @ np.diag(proportions(parameters)), PLACE + shift)


def proportions(parameters: Mapping[str, float]) -> np.ndarray:
    """(3,) factors on x, y, z that give a head its circumference, cephalic index and height.

    The circumference of an oval goes with the sum of its length and width, to first order; the
    sum is kept where only the cephalic index changes.
    """
    index = parameters["cephalic_index"]
    size = (parameters["circumference"] - 2 * math.pi * SCALP) / PERIMETER
    length = size * (LENGTH + WIDTH) / (1 + index)
    return np.array([index * length / WIDTH, length / LENGTH, size * parameters["height"]])
