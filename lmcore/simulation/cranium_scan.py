"""What a CT scanner measures in the common head of `cranium_shape`, in HU.

Soft tissues have their usual values (brain 25-40, fluid about 10, fat about -90 HU); how dense the
skull of a subject is, how thick, and how far its sutures have closed are parameters.
"""

import math
from collections.abc import Mapping

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from lmcore.simulation.cranium_shape import SCALP, base, closed, deformation, proportions, vault
from lmcore.simulation.scanner import coverage, voxel_centres
from lmcore.simulation.solids import ellipsoid, round_cone, smooth_union

AIR, FAT, FLUID, WHITE_MATTER, GREY_MATTER, SOFT = -1000.0, -90.0, 10.0, 28.0, 38.0, 50.0

CORTEX = 4.0  # mm
BASE_THICKNESS = 4.0  # mm of the skull base
RIDGE = 3.0  # mm by which the fused metopic suture thickens the bone at a severity of one

FACE_BELOW = 10.0  # mm; only what lies lower can be face or neck

# Where sutures meet on the mid-line, mm: the anterior fontanelle, and the sagittal suture's end.
BREGMA_Y = 10.0
LAMBDA = (-66.0, 42.0)  # y, z

# The deformation is solved at points this far apart at most, mm.
SOLVED_EVERY = 8.5


def scan(
    parameters: Mapping[str, float],
    size: tuple[int, int, int],
    spacing: float,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """One CT (z, y, x) int16 in HU, and the cranium's segmentation uint8.

    Arguments:
        parameters: the truth of the subject, see `simulate`.
        size: (z, y, x) voxels; spacing: mm.
        random: of the noise.
    """
    stride = max(1, int(SOLVED_EVERY / spacing))
    common = deformation(parameters).inverse_on_grid(voxel_centres(size, spacing), stride)
    # Each coordinate in one piece of memory: three times as fast in what follows
    points = np.asfortranarray(common.reshape(-1, 3))
    outer = vault(points)
    distance = closed(outer, points)
    scale = float(np.prod(proportions(parameters)) ** (1 / 3))
    width = parameters["blur"] / spacing
    clean = attenuation(points, outer, distance, scale, spacing, parameters).reshape(size)
    # The reconstruction's kernel smooths noise as it does the anatomy
    noise = gaussian_filter(random.standard_normal(size), width, mode="wrap")
    image = (
        gaussian_filter(clean, width, mode="nearest") + parameters["noise"] * noise / noise.std()
    )
    hounsfield = np.rint(np.clip(image, -1024, 3071)).astype(np.int16)
    return hounsfield, (distance <= 0).reshape(size).astype(np.uint8)


def attenuation(
    points: np.ndarray,
    outer: np.ndarray,
    distance: np.ndarray,
    scale: float,
    spacing: float,
    parameters: Mapping[str, float],
) -> np.ndarray:
    """(n) HU of voxels with partial volume, without blur and noise.

    Arguments:
        points: (n, 3) mm, where the voxels' centres lie in the common anatomy.
        outer, distance: (n) `vault` and `cranium` of the points.
        scale: mm of the subject a mm of the common anatomy.
        spacing: of the voxels, mm.
        parameters: `thickness`, `subarachnoid` and `suture_width` mm, `bone` HU,
            `fontanelle` mm2, `metopic_open` 0 to 1, `severity`.
    """
    voxel = spacing / scale  # all below is in mm of the common anatomy
    low = np.flatnonzero(points[:, 2] < FACE_BELOW)
    head = outer - SCALP / scale
    head[low] = smooth_union(head[low], _face_and_neck(_rows(points, low)), 6.0)

    soft = np.full(len(points), SOFT)
    face = low[(head[low] < voxel) & (distance[low] > -voxel)]
    soft[face] = _face(_rows(points, face), voxel, parameters["bone"])
    within = soft
    near = np.flatnonzero(distance < voxel)
    within[near] = _cranium(
        _rows(points, near), distance[near], soft[near], scale, voxel, parameters
    )
    return AIR + coverage(head, voxel) * (within - AIR)


def _rows(points: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Some of the points, each coordinate in one piece of memory: sums over them are faster."""
    return np.stack([points[rows, axis] for axis in range(3)]).T


def _cranium(
    points: np.ndarray,
    distance: np.ndarray,
    soft: np.ndarray,
    scale: float,
    voxel: float,
    parameters: Mapping[str, float],
) -> np.ndarray:
    """(n) HU of soft tissue with the cranium in it; shells share a voxel by their thickness."""
    thickness = _thickness(points, scale, parameters)
    fluid = distance + thickness
    brain = fluid + parameters["subarachnoid"] / scale
    shares = [coverage(one, voxel) for one in (distance, fluid, brain, brain + CORTEX)]
    bone = np.full(len(points), parameters["bone"])
    shell = np.flatnonzero((shares[0] > 0) & (shares[1] < 1))
    gap = _gaps(points[shell], scale, voxel, parameters)
    bone[shell] += gap * (SOFT - bone[shell])

    layers = (soft, bone, FLUID, GREY_MATTER, _deep(points, voxel))
    result = np.zeros(len(points))
    for value, here, deeper in zip(layers, (1.0, *shares), (*shares, 0.0), strict=True):
        result += (here - deeper) * value
    ridge = _petrous(points, voxel) * shares[0]
    return result + ridge * (0.9 * parameters["bone"] - result)


def _thickness(points: np.ndarray, scale: float, parameters: Mapping[str, float]) -> np.ndarray:
    """(n) mm of bone: that of the base near it, and a ridge where the metopic suture fused."""
    x, y, z = points.T
    near_base = expit((base(points) + 7.0) / 1.5)
    thickness = parameters["thickness"] + near_base * (BASE_THICKNESS - parameters["thickness"])
    ridge = RIDGE * parameters["severity"] * np.exp(-((x / 5.0) ** 2) / 2)
    return (thickness + np.where((y > 30.0) & (z > 4.0), ridge, 0.0)) / scale


def _gaps(
    points: np.ndarray, scale: float, voxel: float, parameters: Mapping[str, float]
) -> np.ndarray:
    """(n) share of a voxel of the skull that lies in a suture, a fontanelle or a foramen."""
    x, y, z = points.T
    width = parameters["suture_width"] / scale
    aside = np.abs(x)

    def line(distance: np.ndarray) -> np.ndarray:
        return coverage(distance - width / 2, voxel) - coverage(distance + width / 2, voxel)

    sagittal = np.where((y < BREGMA_Y) & (z > LAMBDA[1]), line(x), 0.0)
    # The metopic suture closes from the nasion upwards (Vu 2001): its angle above the nasion
    upwards = np.arctan2(z, y - BREGMA_Y) / (math.pi / 2)
    opened = (y > BREGMA_Y) & (upwards > 1.0 - parameters["metopic_open"]) & (z > 0)
    metopic = np.where(opened, line(x), 0.0)
    coronal = np.where(z > 4.0, line((y - BREGMA_Y) - 0.22 * (76.0 - z)), 0.0)
    down = (z - LAMBDA[1] + 0.85 * aside) / math.hypot(1.0, 0.85)
    lambdoid = np.where((y < -35.0) & (z > -12.0), line(down), 0.0)
    # A rhombus of this area, its diagonals equal
    half = math.sqrt(parameters["fontanelle"] / 2) / scale
    rhombus = (aside + np.abs(y - BREGMA_Y) - half) / math.sqrt(2)
    fontanelle = np.where(z > 40.0, coverage(rhombus, voxel) * (half > 0), 0.0)
    foramen = np.where(z < -20.0, coverage(np.hypot(x, y + 24.0) - 13.0, voxel), 0.0)
    return np.maximum.reduce([sagittal, metopic, coronal, lambdoid, fontanelle, foramen])


def _deep(points: np.ndarray, voxel: float) -> np.ndarray:
    """(n) HU of what lies under the cortex: white matter, deep nuclei, ventricles, fissures."""
    x, y, z = points.T
    folded = _folded(points)
    result = np.full(len(points), WHITE_MATTER)

    def paint(value: float, distance: np.ndarray) -> None:
        nonlocal result
        result = result + coverage(distance, voxel) * (value - result)

    paint(GREY_MATTER, ellipsoid(folded, (20.0, 4.0, 16.0), (11.0, 20.0, 13.0)))
    paint(FLUID, round_cone(folded, (9.0, 26.0, 26.0), (11.0, -14.0, 32.0), 5.0, 4.5))
    paint(FLUID, round_cone(folded, (11.0, -14.0, 32.0), (22.0, -38.0, 20.0), 4.5, 6.0))
    # The fissure between the hemispheres, and the Sylvian one
    medial = np.abs(x) - 1.2
    paint(FLUID, np.maximum(medial, 34.0 - np.hypot(y, z - 12.0)))
    paint(FLUID, ellipsoid(folded, (46.0, 10.0, 14.0), (13.0, 20.0, 2.5)))
    return result


def _petrous(points: np.ndarray, voxel: float) -> np.ndarray:
    """(n) share of a voxel in the petrous ridges, between middle and posterior fossa."""
    folded = _folded(points)
    return coverage(round_cone(folded, (14.0, 2.0, -20.0), (50.0, -16.0, -18.0), 4.0, 8.0), voxel)


def _folded(points: np.ndarray) -> np.ndarray:
    """The points of the left brought to the right, for what both sides have."""
    return np.stack([np.abs(points[:, 0]), points[:, 1], points[:, 2]]).T


def _face_and_neck(points: np.ndarray) -> np.ndarray:
    """(n) signed distance to the soft tissue below the vault."""
    x, y, z = points.T
    folded = _folded(points)
    cheeks = ellipsoid(folded, (10.0, 30.0, -28.0), (40.0, 40.0, 36.0))
    chin = ellipsoid(points, (0.0, 40.0, -56.0), (28.0, 24.0, 20.0))
    nose = round_cone(points, (0.0, 68.0, -8.0), (0.0, 72.0, -24.0), 5.0, 8.0)
    neck = round_cone(points, (0.0, -14.0, -40.0), (0.0, -16.0, -150.0), 34.0, 33.0)
    ear = ellipsoid(folded, (60.0, -14.0, -14.0), (7.0, 9.0, 17.0))
    face = smooth_union(smooth_union(cheeks, chin, 14.0), nose, 6.0)
    return np.minimum(smooth_union(face, neck, 14.0), ear)


def _face(points: np.ndarray, voxel: float, bone: float) -> np.ndarray:
    """(n) HU below the vault: orbits with globes, facial bones, airway, spine."""
    x, y, z = points.T
    folded = _folded(points)
    result = np.full(len(points), SOFT)

    def paint(value: float, distance: np.ndarray) -> None:
        nonlocal result
        result = result + coverage(distance, voxel) * (value - result)

    paint(FAT, ellipsoid(folded, (34.0, 44.0, -38.0), (10.0, 12.0, 14.0)))
    orbit = round_cone(folded, (24.0, 46.0, -13.0), (11.0, 20.0, -12.0), 14.0, 5.0)
    front = y - 58.0  # where the orbit opens
    paint(bone, np.maximum(np.maximum(orbit - 2.5, front), -orbit))
    paint(0.6 * bone, ellipsoid(points, (0.0, 46.0, -36.0), (21.0, 22.0, 15.0)))
    paint(bone, round_cone(folded, (40.0, 46.0, -22.0), (54.0, 4.0, -24.0), 4.0, 3.0))
    paint(bone, round_cone(folded, (46.0, 2.0, -28.0), (36.0, 14.0, -56.0), 4.0, 5.0))
    paint(bone, round_cone(folded, (36.0, 14.0, -56.0), (6.0, 52.0, -64.0), 5.0, 6.0))
    paint(FAT, np.maximum(orbit, front))
    paint(20.0, ellipsoid(folded, (25.0, 55.0, -13.0), (10.0, 10.0, 10.0)))
    paint(
        AIR, np.maximum(ellipsoid(folded, (6.0, 46.0, -29.0), (5.0, 26.0, 9.0)), 2.0 - folded[:, 0])
    )
    paint(AIR, round_cone(points, (0.0, 16.0, -36.0), (0.0, 6.0, -150.0), 5.0, 5.0))
    paint(bone, round_cone(points, (0.0, -8.0, -50.0), (0.0, -12.0, -150.0), 8.0, 8.0))
    ring = np.abs(np.hypot(x, y + 25.0) - 10.0) - 2.0
    paint(bone, np.maximum(ring, z + 54.0))
    return result
