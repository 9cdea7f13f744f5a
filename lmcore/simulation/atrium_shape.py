"""How one subject's left atrium differs from the common one, and what that says of recurrence.

A shape is a mapping from the name of a parameter to its value. Three parameters decide the
probability that atrial fibrillation recurs: a round and large body and a short appendage
(F. Bisbal et al., "Left atrial sphericity: a new method to assess atrial remodeling. Impact on the
outcome of atrial fibrillation ablation", 2013; E. T. Bieging et al., "Left atrial shape predicts
recurrence after atrial fibrillation catheter ablation", 2018). Every other one is a nuisance.
"""

from collections.abc import Mapping

import numpy as np
from scipy.special import expit

from lmcore.seeds import derive_seed
from lmcore.simulation.atrium_anatomy import APPENDAGE_BASE, APPENDAGE_TIP, VEINS
from lmcore.simulation.deformation import Deformation, rotation
from lmcore.simulation.options import RANGE_DEVIATIONS, Range, draw

# What recurrence depends on, of all shape parameters.
SHAPE_PARAMETERS = ("roundness", "enlargement", "appendage_length")

# Log-odds of recurrence for one standard deviation of each. Their order follows the sources, their
# common factor was set once, by the accuracy of whoever knows the three parameters: 72 % of
# many thousand shapes from the default ranges.
RECURRENCE_LOG_ODDS: Mapping[str, float] = {
    "roundness": 1.1,
    "enlargement": 0.9,
    "appendage_length": -0.65,
}

# Of the common anatomy: antero-posterior over the mean of the other two diameters, and mm
ROUNDNESS = 0.77
APPENDAGE_LENGTH = float(np.linalg.norm(APPENDAGE_TIP - APPENDAGE_BASE))

# The modes reach this far from their centres, mm
BODY_REACH = 42.0
APPENDAGE_REACH = 26.0
VEIN_REACH = 21.0
TURN_REACH = 24.0
DENT_REACH = 26.0

# Centres of the dents: the corners of a cube about the atrium
DENTS = 16.0 * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])


def draw_patient(index: int, seed: int, options) -> tuple[dict[str, float], float, bool]:
    """One subject's shape, the probability of recurrence, and whether it recurs.

    None of them depends on the options of the scan.
    """
    shape = draw_shape(options, np.random.default_rng(derive_seed(seed, "atrium", index)))
    ranges = {name: getattr(options, name) for name in SHAPE_PARAMETERS}
    probability = recurrence_probability(shape, ranges, options.recurrence_log_odds)
    random = np.random.default_rng(derive_seed(seed, "atrium", index, "recurrence"))
    return shape, probability, bool(random.random() < probability)


def draw_shape(options, random: np.random.Generator) -> dict[str, float]:
    """The shape and pose of one subject, all by name, from the ranges of `AtriumOptions`."""
    once = (*SHAPE_PARAMETERS, "appendage_width", "appendage_turn", "heart_size")
    shape = {name: draw(random, getattr(options, name)) for name in once}
    for name in VEINS:
        shape[f"{name}_radius"] = draw(random, options.vein_radius)
        shape |= _draw_vector(random, options.vein_bend, f"{name}_bend")
    for number in range(len(DENTS)):
        shape |= _draw_vector(random, options.irregularity, f"irregularity_{number}")
    shape |= _draw_vector(random, options.rotation, "rotation")
    return shape | _draw_vector(random, options.shift, "shift")


def recurrence_probability(
    shape: Mapping[str, float], ranges: Mapping[str, Range], log_odds: Mapping[str, float]
) -> float:
    """Logistic function of the standardised parameters.

    Arguments:
        shape: of one subject.
        ranges: of the parameters; a value is standardised by the middle of its range and by the
            standard deviation of the normal that the range truncates.
        log_odds: of recurrence, for one standard deviation of each parameter.
    """
    total = 0.0
    for name, weight in log_odds.items():
        low, high = ranges[name]
        if high > low:
            deviation = (high - low) / (2 * RANGE_DEVIATIONS)
            total += weight * (shape[name] - (low + high) / 2) / deviation
    return float(expit(total))


def deformation_of(shape: Mapping[str, float]) -> Deformation:
    """W, from the common anatomy to the subject's scan."""
    modes = [*_body_modes(shape), *_appendage_modes(shape), *_vein_modes(shape)]
    modes += [
        (centre, DENT_REACH, _vector(shape, f"irregularity_{number}"), np.zeros((3, 3)))
        for number, centre in enumerate(DENTS)
    ]
    turn = rotation(tuple(_vector(shape, "rotation")))
    return Deformation(LocalModes(modes), shape["heart_size"] * turn, _vector(shape, "shift"))


class LocalModes:
    """The displacement sum of w(|p - c|) (v + A (p - c)) with w(r) = exp(-(r / reach)^4).

    The weight is flat about the centre, where a mode is the linear map A and the shift v, and
    gone at 1.5 times its reach.

    Arguments:
        modes: of centre c (3,), reach in mm, vector v (3,) in mm and matrix A (3, 3).
    """

    def __init__(self, modes: list[tuple]):
        centres, reaches, vectors, matrices = (np.array(part) for part in zip(*modes, strict=True))
        self.centres, self.reaches = centres, reaches
        self.linear = matrices.transpose(0, 2, 1).reshape(len(modes), 9)
        self.constant = vectors - np.einsum("kij,kj->ki", matrices, centres)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) displacements of points (..., 3), mm."""
        flat = points.reshape(-1, 3)
        squared = np.square(flat).sum(axis=1)[:, None] + np.square(self.centres).sum(axis=1)
        squared -= 2.0 * flat @ self.centres.T
        weights = np.exp(-np.square(squared / self.reaches**2))
        linear = (weights @ self.linear).reshape(-1, 3, 3)
        moved = np.einsum("nj,nji->ni", flat, linear) + weights @ self.constant
        return moved.reshape(points.shape)


def measure(
    shape: Mapping[str, float], vertices: np.ndarray, triangles: np.ndarray, in_body: np.ndarray
) -> dict[str, float]:
    """What a reader would measure on the true surface.

    Arguments:
        shape: of the subject.
        vertices: (P, 3) of the common surface; triangles: (F, 3); in_body: (P,) 1 in the body.
    Returns:
        `volume` in ml, of all that is segmented; of the body, across the pose of the heart:
        `antero_posterior`, `transverse` and `height` in mm, and `sphericity` in %, 100 (1 - the
        coefficient of variation of the distance to the centroid), after Bisbal et al. (2013).
    """
    moved = deformation_of(shape | dict.fromkeys(_names("rotation"), 0.0))(vertices)
    first, second, third = (moved[triangles[:, corner]] for corner in range(3))
    volume = abs(np.einsum("ni,ni->n", first, np.cross(second, third)).sum()) / 6.0 / 1000.0
    inside = moved[in_body > 0]
    transverse, antero_posterior, height = np.ptp(inside, axis=0)
    radius = np.linalg.norm(inside - inside.mean(axis=0), axis=1)
    return {
        "volume": float(volume),
        "antero_posterior": float(antero_posterior),
        "transverse": float(transverse),
        "height": float(height),
        "sphericity": float(100.0 * (1.0 - radius.std() / radius.mean())),
    }


def _body_modes(shape: Mapping[str, float]) -> list[tuple]:
    """Size, and depth against width and height at the same volume."""
    rounder = shape["roundness"] / ROUNDNESS
    factors = shape["enlargement"] * rounder ** np.array([-1 / 3, 2 / 3, -1 / 3])
    return [(np.zeros(3), BODY_REACH, np.zeros(3), np.diag(factors - 1.0))]


def _appendage_modes(shape: Mapping[str, float]) -> list[tuple]:
    """Length and width about the base, and a turn of the tip to the patient's left."""
    axis = (APPENDAGE_TIP - APPENDAGE_BASE) / APPENDAGE_LENGTH
    centre = (APPENDAGE_BASE + APPENDAGE_TIP) / 2
    longer = shape["appendage_length"] / APPENDAGE_LENGTH - 1.0
    wider = shape["appendage_width"] - 1.0
    along = np.outer(axis, axis)
    stretch = longer * along + wider * (np.eye(3) - along)
    # the base stays where it is
    forward = longer * APPENDAGE_LENGTH / 2 * axis
    left = np.array([-1.0, 0.0, 0.0])
    return [
        (centre, APPENDAGE_REACH, forward, stretch),
        (APPENDAGE_TIP, TURN_REACH, shape["appendage_turn"] * left, np.zeros((3, 3))),
    ]


def _vein_modes(shape: Mapping[str, float]) -> list[tuple]:
    """The thickness of each vein about the end of its stub, and where it goes."""
    modes = []
    for name, path in VEINS.items():
        begin, end = np.array(path[0][:3], dtype=float), np.array(path[1][:3], dtype=float)
        axis = (end - begin) / np.linalg.norm(end - begin)
        across = np.eye(3) - np.outer(axis, axis)
        thicker = shape[f"{name}_radius"] - 1.0
        modes.append((end, VEIN_REACH, _vector(shape, f"{name}_bend"), thicker * across))
    return modes


def _names(name: str) -> list[str]:
    return [f"{name}_{axis}" for axis in "xyz"]


def _vector(shape: Mapping[str, float], name: str) -> np.ndarray:
    return np.array([shape[one] for one in _names(name)])


def _draw_vector(random: np.random.Generator, low_high: Range, name: str) -> dict[str, float]:
    return {one: draw(random, low_high) for one in _names(name)}
